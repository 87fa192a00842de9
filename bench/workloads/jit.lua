-- SPDX-License-Identifier: GPL-2.0-or-later
-- For LuaJIT: calls, arrays, tables with string keys, sorting, floating point.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end

local t, x = {}, 1
for i = 1, 2000000 do
    x = (x * 1103515 + 12345) % 2147483647
    t[i] = x
end
local sum = 0
for i = 1, #t do sum = sum + t[i] % 7 end

local counts = {}
for i = 1, 2000000 do
    local key = "k" .. i % 3000
    counts[key] = (counts[key] or 0) + i
end

local n, trace = 300, 0
local a, b = {}, {}
for i = 1, n * n do a[i] = i % 7; b[i] = i % 11 end
for i = 0, n - 1 do
    for j = 1, n do
        local s = 0
        for k = 0, n - 1 do s = s + a[i * n + k + 1] * b[k * n + j] end
        if i + 1 == j then trace = trace + s end
    end
end
table.sort(t)
print(fib(36), sum, counts.k7, t[1000], trace)
