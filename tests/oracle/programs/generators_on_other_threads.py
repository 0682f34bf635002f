"""A generator that is resumed on different threads keeps its activation."""
import threading


def count():
    n = 0
    while True:
        step = yield n
        n += step or 1


it = count()
results = []


def resume(step):
    value = next(it) if step is None else it.send(step)
    results.append(value)


for step in (None, 10, 20):
    thread = threading.Thread(target=resume, args=(step,))
    thread.start()
    thread.join()
here = next(it)
