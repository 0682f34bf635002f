"""Objects: tasks of several classes pass packets through queues of their own."""

SIZE = 1000
PEER_SIZE = 6
ONE = "Worker.step"


class Packet:
    def __init__(self, kind, value):
        self.kind = kind
        self.value = value
        self.next = None


class Queue:
    def __init__(self):
        self.head = None
        self.tail = None
        self.length = 0

    def put(self, packet):
        packet.next = None
        if self.head is None:
            self.head = packet
        else:
            self.tail.next = packet
        self.tail = packet
        self.length += 1

    def take(self):
        packet = self.head
        if packet is not None:
            self.head = packet.next
            self.length -= 1
        return packet


class Task:
    def __init__(self, name):
        self.name = name
        self.queue = Queue()
        self.runs = 0

    def step(self, others):
        self.runs += 1


class Worker(Task):
    def __init__(self, name):
        super().__init__(name)
        self.total = 0

    def step(self, others):
        super().step(others)
        packet = self.queue.take()
        if packet is None:
            return
        self.total = (self.total * 31 + packet.value) % 65521
        packet.value += 1
        others[self.total % len(others)].queue.put(packet)


class Idler(Task):
    def step(self, others):
        super().step(others)
        packet = self.queue.take()
        if packet is not None:
            packet.kind = "idle"
            others[self.runs % len(others)].queue.put(packet)


def run(size):
    tasks = [Worker("w%d" % i) for i in range(5)] + [Idler("i%d" % i) for i in range(3)]
    for i in range(20):
        tasks[i % len(tasks)].queue.put(Packet("work", i))
    for _ in range(size):
        for task in tasks:
            task.step(tasks)
    return [task.total for task in tasks[:5]]
