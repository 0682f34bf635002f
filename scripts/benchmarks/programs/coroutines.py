"""Coroutines: an asyncio tree of tasks, a queue between producers and consumers."""

import asyncio

SIZE = 120
PEER_SIZE = 2
ONE = "consume"


async def leaf(value):
    await asyncio.sleep(0)
    doubled = value * 2
    return doubled


async def branch(depth, value):
    if depth == 0:
        return await leaf(value)
    parts = await asyncio.gather(branch(depth - 1, value * 2), branch(depth - 1, value * 2 + 1))
    total = sum(parts)
    return total


async def produce(queue, n):
    for i in range(n):
        await queue.put(i)
    await queue.put(None)


async def consume(queue):
    total = 0
    while True:
        item = await queue.get()
        if item is None:
            return total
        total = (total * 3 + item) % 999983


async def work(size):
    queue = asyncio.Queue(maxsize=8)
    producer = asyncio.ensure_future(produce(queue, size * 4))
    total = await consume(queue)
    await producer
    for _ in range(size // 60 + 1):
        total += await branch(5, 1)
    return total


def run(size):
    return asyncio.run(work(size))
