-- SPDX-License-Identifier: GPL-2.0-or-later
-- Floating point: planets attracting each other, energy at both ends.
local PI, YEAR = math.pi, 365.24
local MASS = 4 * PI * PI
local bodies = {
    {x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, m = MASS},
    {x = 4.84, y = -1.16, z = -0.10, vx = 0.00166 * YEAR, vy = 0.0077 * YEAR, vz = -0.00007 * YEAR, m = 0.00095 * MASS},
    {x = 8.34, y = 4.12, z = -0.40, vx = -0.00277 * YEAR, vy = 0.005 * YEAR, vz = 0.00002 * YEAR, m = 0.00029 * MASS},
    {x = 12.89, y = -15.11, z = -0.22, vx = 0.003 * YEAR, vy = 0.0024 * YEAR, vz = -0.00003 * YEAR, m = 0.00004 * MASS},
    {x = 15.38, y = -25.92, z = 0.18, vx = 0.0027 * YEAR, vy = 0.0016 * YEAR, vz = -0.0001 * YEAR, m = 0.00005 * MASS},
}
local function energy()
    local e = 0
    for i, b in ipairs(bodies) do
        e = e + b.m * (b.vx * b.vx + b.vy * b.vy + b.vz * b.vz) / 2
        for j = i + 1, #bodies do
            local c = bodies[j]
            local dx, dy, dz = b.x - c.x, b.y - c.y, b.z - c.z
            e = e - b.m * c.m / math.sqrt(dx * dx + dy * dy + dz * dz)
        end
    end
    return e
end
local function advance(dt)
    for i = 1, #bodies do
        local b = bodies[i]
        for j = i + 1, #bodies do
            local c = bodies[j]
            local dx, dy, dz = b.x - c.x, b.y - c.y, b.z - c.z
            local d2 = dx * dx + dy * dy + dz * dz
            local f = dt / (d2 * math.sqrt(d2))
            b.vx, b.vy, b.vz = b.vx - dx * c.m * f, b.vy - dy * c.m * f, b.vz - dz * c.m * f
            c.vx, c.vy, c.vz = c.vx + dx * b.m * f, c.vy + dy * b.m * f, c.vz + dz * b.m * f
        end
    end
    for _, b in ipairs(bodies) do
        b.x, b.y, b.z = b.x + dt * b.vx, b.y + dt * b.vy, b.z + dt * b.vz
    end
end
print(string.format("%.9f", energy()))
for _ = 1, 120000 do advance(0.001) end
print(string.format("%.9f", energy()))
