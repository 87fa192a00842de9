-- SPDX-License-Identifier: GPL-2.0-or-later
-- Sorting: the library's quicksort with and without a comparison function.
local seed = 42
local function random() seed = (seed * 1103515245 + 12345) & 0x7fffffff return seed end
local t = {}
for i = 1, 250000 do t[i] = random() end
table.sort(t)
print(t[1], t[#t])
for i = 1, 120000 do t[i] = random() end
for i = #t, 120001, -1 do t[i] = nil end
table.sort(t, function(a, b) return a > b end)
print(t[1], t[#t])
