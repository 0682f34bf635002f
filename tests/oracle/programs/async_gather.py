"""Tasks that take turns."""
import asyncio

log = []


async def worker(name, rounds):
    count = 0
    for _ in range(rounds):
        count += 1
        log.append((name, count))
        await asyncio.sleep(0)
    return count


async def main():
    results = await asyncio.gather(worker("a", 2), worker("b", 3))
    task = asyncio.create_task(worker("c", 1))
    last = await task
    return results, last


done = asyncio.run(main())
