"""Each call is an activation of its own."""


def factorial(n):
    if n < 2:
        result = 1
    else:
        result = factorial(n - 1)
        result *= n
    return result


def fibonacci(n, memo={}):
    if n < 2:
        return n
    if n not in memo:
        memo[n] = fibonacci(n - 1) + fibonacci(n - 2)
    return memo[n]


factorial(4)
fibonacci(5)
