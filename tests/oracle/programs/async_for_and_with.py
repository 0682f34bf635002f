"""async for, async with, async generators and comprehensions."""
import asyncio


class Resource:
    async def __aenter__(self):
        self.open = True
        return [self]

    async def __aexit__(self, kind, value, trace):
        self.open = False
        return kind is KeyError


async def numbers(n):
    state = 0
    try:
        for i in range(n):
            state = i
            got = yield i
            await asyncio.sleep(0)
    finally:
        state = "done"


class Counter:
    def __init__(self, n):
        self.n = n

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.n -= 1
        if self.n < 0:
            raise StopAsyncIteration
        return self.n


async def main():
    async for value in numbers(2):
        seen = value
    else:
        seen = "all"
    async with Resource() as resource, Resource() as (other,):
        inside = 1
    async with Resource():
        raise KeyError
    doubled = [n * 2 async for n in numbers(3) if n]
    table = {n: m async for n in Counter(2) for m in [n]}
    total = sum([x async for x in (y async for y in Counter(2))])
    it = numbers(5)
    await it.asend(None)
    await it.asend("sent")
    await it.aclose()
    async for resource[0].n in Counter(1):
        pass
    return total


result = asyncio.run(main())
