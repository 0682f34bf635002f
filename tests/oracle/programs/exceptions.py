"""try, except, else, finally; the implicit del of except … as."""


def attempt(n):
    state = "start"
    try:
        state = "try"
        value = 10 // n
    except ZeroDivisionError as error:
        state = "except"
        kept = str(error)
    else:
        state = "else"
    finally:
        state = "finally"
    return state


attempt(0)
attempt(2)
try:
    raise KeyError("k")
except (ValueError, KeyError) as error:
    message = error.args
    error = None
try:
    raise KeyError
except KeyError as error:
    del error
