"""Tight loops, nothing but stores and arithmetic: recursion, a counting loop, a sieve."""

SIZE = 400
PEER_SIZE = 6
ONE = "fibonacci"
# A variable that is written all the time, and a condition that never holds.
HOT = ("count", "total", "new > 1000000000")


def fibonacci(n):
    if n < 2:
        return n
    before = fibonacci(n - 1)
    before_that = fibonacci(n - 2)
    return before + before_that


def count(n):
    total = 0
    factor = 1.5
    for i in range(n):
        scaled = i * factor
        if scaled > 100:
            total += 1
        else:
            total -= 1
        last = total
    return last


def sieve(n):
    flags = [True] * (n + 1)
    primes = 0
    for i in range(2, n + 1):
        if flags[i]:
            multiple = i + i
            while multiple <= n:
                flags[multiple] = False
                multiple += i
            primes += 1
    return primes


def run(size):
    found = sum(fibonacci(10) for _ in range(size // 5 + 1))
    return found, count(100 * size), sieve(60 * size)
