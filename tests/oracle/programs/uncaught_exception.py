"""A program that ends with an exception: what came before is recorded."""


def deep(n):
    local = n
    if not n:
        raise LookupError("end")
    deep(n - 1)


before = 1
deep(2)
after = 2
