"""Threads: four of them take jobs from a queue, compute, and add to shared totals."""

import queue
import threading

SIZE = 300
PEER_SIZE = 4
ONE = "compute"
THREADS = 4


def compute(n):
    value = n
    steps = 0
    while value != 1 and steps < 100:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
    return steps


def work(jobs, totals, lock):
    done = 0
    while True:
        job = jobs.get()
        if job is None:
            return
        steps = 0
        for n in range(job, job + 5):
            steps += compute(n)
        done += 1
        with lock:
            totals["steps"] += steps
            totals["jobs"] += 1


def run(size):
    jobs = queue.Queue()
    totals = {"steps": 0, "jobs": 0}
    lock = threading.Lock()
    threads = [threading.Thread(target=work, args=(jobs, totals, lock)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for i in range(size):
        jobs.put(i + 1)
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join()
    return totals
