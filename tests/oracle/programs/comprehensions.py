"""Comprehensions of every kind, nested, with conditions and walrus."""
numbers = [n for n in range(3)]
table = {k: v for k, v in [("a", 1), ("b", 2)]}
unique = {n % 2 for n in numbers if n}
nested = [[i * j for j in range(2)] for i in range(2)]
flat = [x for row in nested for x in row]
lazy = (n for n in numbers)
total = sum(lazy)
last = [seen := n for n in numbers]


def function(limit):
    offset = limit
    shifted = [n + offset for n in range(limit)]
    biggest = None
    if any((biggest := n) > 1 for n in shifted):
        offset = biggest
    [offset := n for n in range(2)]
    return {a: [b for b in (a, offset)] for a in range(2)}


function(2)
unpacked = [(first, rest) for first, *rest in [(1, 2, 3), (4,)]]


class Body:
    items = [n for n in range(2)]
    pairs = [(a, b) for a in (1, 2) for b in (3,)]


d = {}
stored = [0 for d["k"] in (1, 2)]
