# SPDX-License-Identifier: GPL-2.0-or-later
# Calls, hashes, arrays, big numbers and text in Ruby.
def fib(n) = n < 2 ? n : fib(n - 1) + fib(n - 2)

counts = Hash.new(0)
600_000.times { |i| counts["k#{i % 3000}"] += i }
sorted = (1..400_000).map { |i| (i * 1103515245 + 12345) % 2147483647 }.sort
folded = (1..400_000).inject { |s, i| s ^ (i * i) }
text = ("abc" * 60_000).gsub(/b/) { |m| m.upcase }
puts fib(27), counts["k7"], sorted[1000], folded, text.count("B"), (3**20_000).digits.sum
