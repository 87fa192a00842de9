# SPDX-License-Identifier: GPL-2.0-or-later
"""Everyday Python: objects, dictionaries, strings, big integers, generators."""
import json


class Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

    def insert(self, key):
        node = self
        while True:
            side = "left" if key < node.key else "right"
            child = getattr(node, side)
            if child is None:
                setattr(node, side, Node(key))
                return
            node = child

    def depth(self):
        return 1 + max(c.depth() if c else 0 for c in (self.left, self.right))


def primes(limit):
    sieve = bytearray([1]) * (limit + 1)
    for n in range(2, limit + 1):
        if sieve[n]:
            yield n
            sieve[n * n::n] = bytes(len(range(n * n, limit + 1, n)))


root, seed = Node(0), 1
for _ in range(12000):
    seed = (seed * 1103515245 + 12345) % 2**31
    root.insert(seed)
print(root.depth())
print(sum(primes(400000)))
counts = {}
for word in ("the quick brown fox jumps over the lazy dog " * 12000).split():
    counts[word] = counts.get(word, 0) + 1
print(sorted(counts.items()))
print(sum(int(str(3**9000 + i)[:4290]) % 97 for i in range(20)))
data = [{"id": i, "name": f"item {i}", "tags": [str(i % 7), "x" * (i % 5)]} for i in range(12000)]
print(len(json.dumps(json.loads(json.dumps(data)))))
print(sum(i * i % 7 for i in range(600000)))
