"""Exceptions through frames, re-raised, chained, returned over in finally."""


def inner(n):
    step = n
    try:
        step = 1 / n
    finally:
        step = "inner finally"


def middle(n):
    try:
        inner(n)
    except ZeroDivisionError as error:
        cause = error
        try:
            raise KeyError("k") from error
        except KeyError as error:
            second = error
            raise


def outer():
    for n in (1, 0):
        try:
            middle(n)
        except KeyError as caught:
            found = caught.__cause__
            continue
        finally:
            state = n
    try:
        return state
    finally:
        state = "returning"


outer()


def swallow():
    while True:
        try:
            raise ValueError
        finally:
            done = True
            break
    return done


swallow()
