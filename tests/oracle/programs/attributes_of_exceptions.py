"""Attributes of exception instances."""


class Problem(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


try:
    raise Problem(1)
except Problem as problem:
    problem.code = 2
    problem.note = "seen"
    problem.code += 1
    kept = problem
del kept.note
