-- SPDX-License-Identifier: GPL-2.0-or-later
-- Tables and strings: arrays, hashes, concatenation, pattern matching.
local t = {}
for i = 1, 1500000 do t[i] = i * 7 % 1000 end
local s = 0
for i = 1, #t do s = s + t[i] end
print(s)
local words = {}
for i = 1, 250000 do
    local key = "k" .. (i * 7919 % 50021)
    words[key] = (words[key] or 0) + i
end
local n, m = 0, 0
for k, v in pairs(words) do n = n + 1 m = m + v end
print(n, m)
local parts = {}
for i = 1, 120000 do parts[#parts + 1] = string.format("%d:%x", i, i) end
local text = table.concat(parts, ",")
local hits = 0
for a, b in text:gmatch("(%d+):(%x+)") do if #a == #b then hits = hits + 1 end end
print(#text, hits)
