"""What is on the heap after some work is what was there before it."""
import gc
import sys
import threading


class Box:
    def __init__(self, n):
        self.items = [n]
        self.n = n


def generator(n):
    for i in range(n):
        box = Box(i)
        got = yield box


def work(n):
    boxes = []
    for i in range(n):
        boxes.append(Box(i))
        boxes[-1].items += [i]
        boxes[-1].n = {"k": (i, boxes[0])}
    for box in generator(n):
        box.items.append(box)
        del box.items[0]
    try:
        raise ValueError(n)
    except ValueError as error:
        boxes.append(error)
        boxes.pop()
    return len(boxes)


def measure(n):
    gc.collect()
    before = len(gc.get_objects()), sys.getallocatedblocks()
    work(n)
    gc.collect()
    return len(gc.get_objects()) - before[0], sys.getallocatedblocks() - before[1]


measure(10)
objects, blocks = measure(300)
print("objects left:", objects)
print("blocks left: few" if abs(blocks) < 50 else f"blocks left: {blocks}")
print("garbage", gc.garbage, "threads", threading.active_count())
print("trace", sys.gettrace(), "profile", sys.getprofile())
