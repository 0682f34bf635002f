"""except* and exception groups."""


def run(*errors):
    state = "none"
    try:
        state = "raising"
        raise ExceptionGroup("all", list(errors))
    except* ValueError as group:
        state = "value"
        count = len(group.exceptions)
    except* (KeyError, IndexError) as group:
        state = "key"
    finally:
        end = state
    return state


run(ValueError(1), KeyError(2))
run(ValueError(1), ValueError(2))
try:
    run(TypeError(1), IndexError(1))
except ExceptionGroup as left:
    kept = left.exceptions[0].args
