"""Exceptions: raised, caught, chained, through `finally` and `with`, by depth."""

SIZE = 2500
PEER_SIZE = 20
ONE = "attempt"


class Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Guard:
    def __init__(self):
        self.entered = 0
        self.failed = 0

    def __enter__(self):
        self.entered += 1
        return self

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            self.failed += 1
        return False


def descend(depth, code):
    if depth == 0:
        if code % 3 == 0:
            raise Refused(code)
        if code % 3 == 1:
            raise ValueError(code)
        return code
    below = depth - 1
    return descend(below, code)


def attempt(guard, code):
    result = 0
    try:
        with guard:
            result = descend(code % 4, code)
    except Refused as error:
        result = error.code
    except ValueError as error:
        try:
            raise KeyError(code) from error
        except KeyError as second:
            result = -second.args[0]
    finally:
        result += 1
    return result


def run(size):
    guard = Guard()
    total = 0
    for code in range(size):
        total += attempt(guard, code)
    return total, guard.entered, guard.failed
