"""The operand of an operator or method is rebound by code that the operator runs."""
xs = [1]


def replaces():
    global xs
    yield 2
    xs = ["other"]
    yield 3


def clears():
    yield 5
    xs.clear()
    yield 6


xs += replaces()
kept = xs
xs.extend(clears())
xs += clears()


def key(value):
    kept.append(value)
    return value


try:
    kept.sort(key=key)
except ValueError:
    pass
table = {"k": [1]}


def swaps():
    table["k"] = [9]
    yield 4


table["k"] += swaps()
alias = table["k"]
table["k"].extend(swaps())
