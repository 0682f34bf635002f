"""Signal handlers that store, and one that raises, between two instructions."""
import signal

log = []


def handler(number, frame):
    seen = signal.Signals(number).name
    log.append(seen)


def raising(number, frame):
    global raised
    raised = True
    raise InterruptedError


signal.signal(signal.SIGUSR1, handler)
before = 1
signal.raise_signal(signal.SIGUSR1)
after = 2
signal.signal(signal.SIGUSR1, raising)
try:
    signal.raise_signal(signal.SIGUSR1)
    never = 1
except InterruptedError as error:
    after = 3
