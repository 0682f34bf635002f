"""Statements that raise half way: what was stored is an event, the rest is not."""
log = []


def fail():
    raise ValueError


def partial():
    a = 1
    try:
        a, b = 2, fail()
    except ValueError:
        pass
    try:
        a, b = (5,)
    except ValueError:
        pass
    try:
        a = log[0] = 3
    except IndexError:
        pass
    try:
        a, log[7], b = 4, 5, 6
    except IndexError:
        pass
    try:
        del b
    except UnboundLocalError:
        pass
    try:
        del undefined
    except NameError:
        pass
    try:
        for a in fail():
            pass
    except ValueError:
        pass
    return a


partial()
try:
    del nothing
except NameError:
    pass
try:
    None.x = 1
except AttributeError:
    pass
try:
    "text"[0] = "T"
except TypeError:
    pass
try:
    (1, 2)[0] += 1
except TypeError:
    pass
