"""Coroutines driven without an event loop; one never awaited, one thrown into."""


class Pause:
    def __await__(self):
        value = yield "paused"
        return value


async def steps():
    first = await Pause()
    try:
        second = await Pause()
    except KeyError as error:
        second = error
    second = str(second)
    return first, second


coroutine = steps()
a = coroutine.send(None)
b = coroutine.send(1)
try:
    coroutine.throw(KeyError(2))
except StopIteration as stop:
    value = stop.value
other = steps()
other.send(None)
other.close()
