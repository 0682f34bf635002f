"""Two threads in the same function at once: activations and threads are told apart."""
import threading

turns = [threading.Semaphore(1), threading.Semaphore(0)]
shared = []


def player(me):
    for i in range(3):
        turns[me].acquire()
        score = i * 10 + me
        shared.append(score)
        turns[1 - me].release()
    score = "over"
    if me == 0:
        turns[1].acquire()
        turns[1].release()


second = threading.Thread(target=player, args=(1,))
first = threading.Thread(target=player, args=(0,))
second.start()
first.start()
second.join()
turns[1].release()
first.join()
local = threading.local()
local.x = 1
local.x = 2
