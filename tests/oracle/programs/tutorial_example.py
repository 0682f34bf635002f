"""The tutorial's example: two locals, a change before the return, a del."""


def run_example():
    a = 10
    b = 15
    b = b * 2
    del a
    return b


run_example()
