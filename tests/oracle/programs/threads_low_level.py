"""_thread.start_new_thread, and threads that start threads."""
import _thread

done = _thread.allocate_lock()
done.acquire()
log = []


def leaf(n, *, key="k"):
    value = n * 2
    log.append(value)
    done.release()


def branch(n):
    mine = _thread.allocate_lock()
    mine.acquire()

    def inner():
        nonlocal n
        n += 1
        mine.release()

    _thread.start_new_thread(inner, ())
    mine.acquire()
    log.append(n)
    done.release()


_thread.start_new_thread(leaf, (1,))
done.acquire()
_thread.start_new_thread(leaf, (2,), {"key": "x"})
done.acquire()
_thread.start_new_thread(branch, (5,))
done.acquire()
