-- SPDX-License-Identifier: GPL-2.0-or-later
-- Function calls: recursion, closures, methods, varargs.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local function counter() local c = 0 return function(d) c = c + d return c end end
local Point = {} Point.__index = Point
function Point:move(dx, dy) self.x = self.x + dx self.y = self.y + dy return self end
local function sum(...) local s = 0 for _, v in ipairs({...}) do s = s + v end return s end

print(fib(29))
local count = counter()
for i = 1, 1500000 do count(i & 7) end
print(count(0))
local p = setmetatable({x = 0, y = 0}, Point)
for i = 1, 1500000 do p:move(i & 3, 1) end
print(p.x, p.y)
local total = 0
for i = 1, 200000 do total = total + sum(i, 2, 3, 4) end
print(total)
