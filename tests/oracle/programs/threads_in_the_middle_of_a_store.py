"""A thread waits inside its own __setattr__ while another one stores."""
import threading

inside, go_on = threading.Event(), threading.Event()


class Slow:
    def __setattr__(self, name, value):
        before = name
        if name == "slow":
            inside.set()
            go_on.wait()
        object.__setattr__(self, name, value)


slow = Slow()
items = []


def store():
    slow.slow = 1
    finished = True


def numbers():
    yield 1
    slow.slow = 2
    yield 2


def extend():
    items.extend(numbers())


for target in (store, extend):
    inside.clear()
    go_on.clear()
    thread = threading.Thread(target=target)
    thread.start()
    inside.wait()
    slow.quick = 1
    slow.quick = 2
    items.append("main")
    items += ["main too"]
    go_on.set()
    thread.join()
