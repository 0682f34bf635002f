"""asyncio.run, await, nested coroutines."""
import asyncio


async def child(n):
    await asyncio.sleep(0)
    doubled = n * 2
    return doubled


async def main():
    total = 0
    for i in range(2):
        total += await child(i)
    result = await child(total)
    return result


answer = asyncio.run(main())
