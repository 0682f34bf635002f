"""Threads one after another, with locks and events that fix the order."""
import threading

total = 0
lock = threading.Lock()
ready = threading.Event()
go = threading.Event()


def add(amount):
    global total
    before = total
    with lock:
        total = before + amount


def wait():
    state = "waiting"
    ready.set()
    go.wait()
    state = "gone"


for amount in (1, 2):
    thread = threading.Thread(target=add, args=(amount,))
    thread.start()
    thread.join()
waiting = threading.Thread(target=wait)
waiting.start()
ready.wait()
between = 1
go.set()
waiting.join()


class Worker(threading.Thread):
    def __init__(self):
        super().__init__()
        self.result = None

    def run(self):
        self.result = [n for n in range(2)]
        self.result += [2]


worker = Worker()
worker.start()
worker.join()
