"""Generators: first resume, suspension, exhaustion, never started."""


def count(n):
    total = 0
    for i in range(n):
        total += i
        yield total
    total = "end"


one, two = count(3), count(2)
next(one)
next(two)
next(one)
rest = list(two)
for value in one:
    last = value
never = count(5)
del never
never = count(5)
never.close()
squares = (x * x for x in range(3))
first = next(squares)
others = list(squares)
total = sum(y for y in (1, 2))
