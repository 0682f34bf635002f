"""Many threads, one after another: thread ids and buffers are used again."""
import threading

results = []


def work(n):
    total = 0
    for i in range(n % 3 + 1):
        total += i
    results.append(n) if n % 10 == 0 else None


for n in range(30):
    thread = threading.Thread(target=work, args=(n,))
    thread.start()
    thread.join()
