"""global statements: scope global in functions, name at module level."""
total = 0
name = "a"


def add(amount):
    global total, fresh
    total += amount
    total = total
    fresh = amount
    del fresh


def swap():
    global total, name
    total, name = name, total


add(5)
add(5)
swap()
del total
