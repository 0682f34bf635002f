"""Lines that change one number, or nothing, and whatever can lead past the store in them, into the
middle of them or out of them: where a recorder may look at the line and not at its instructions."""

import signal


def one_line_loops(n):
    total = 0
    for i in range(n): total += i
    while total > 3: total -= 2
    for i in range(n): pass
    while n: n -= 1
    return total


def one_line_branches(values):
    found = last = 0
    for value in values:
        if value: found = value
        if not value: continue
        if value > 2: last = 1; break
        last = 2 if value > 1 else 3
        last = value and 4
        last = value or 5
    else: last = 6
    if found: return last
    last = 7


def many_on_a_line(a):
    b = 1; c = 2; b = a; a = c
    b += 1; c -= 1; a *= 2
    d = e = f = a
    d, e = e, d
    if b: c = 1; d = 2
    for d in (1, 2): e = d; f = e
    return a; b = 9


def ends_in_a_loop(n):
    for i in range(n):
        last = i


def ends_in_a_branch(n):
    if n > 1:
        n = 1


def no_line_of_its_own(n):
    while True:
        n -= 1
        if n < 0: break
        if n == 5: continue


def over_many_lines(a, b):
    c = (a +
         b +
         (a if a > b
          else b))
    d = one_argument(
        c,
    )
    e = one_argument(c) + one_argument(
        d) + (f := 3)
    for g in (
        1,
        2,
    ):
        c = g
    c = sum(
        h
        for h in range(3)
        if h
    )
    return (
        c
    )


def lines_that_come_back(a, b):
    for c in range(2):
        d = (a if a > (
            b) else b)
        e = (d and a <
             b and d)
        f = d if a \
            else e


def one_argument(x):
    y = x
    return y


def raises(n):
    x = 0
    try: x = 1 // n
    except ZeroDivisionError: x = 2
    try:
        x = 1 // n; x = 5
    except ZeroDivisionError as error: x = 3
    else: x = 6
    finally: x += 1
    try:
        for x in boom(): x = 8
    except ValueError:
        x = 9
    with suppressing(): x = 1 // n
    with suppressing() as y: x = 10; x = boom_at_once(); x = 11
    return x


def boom():
    yield 1
    raise ValueError


def boom_at_once():
    raise ValueError


class suppressing:
    def __enter__(self):
        z = 1
        return z

    def __exit__(self, *error):
        z = 2
        return True


class Number:
    """Operators that are code, and store."""

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        result = self.value + other
        return result

    __radd__ = __add__

    def __lt__(self, other):
        lower = self.value < other
        return lower

    def __bool__(self):
        truth = self.value != 0
        return truth

    def __iter__(self):
        i = 0
        while i < self.value: yield i; i += 1

    def __del__(self):
        gone = self.value


def runs_code(n):
    x = n + 1
    x = 1 + n
    x += n
    x = n
    x = 5
    if n < 3: x = 1
    while not n: x = 2
    x = 3 if n else 4
    for x in n: x = 7
    x = Number(1)
    x = 1
    x = Number(2) + 1
    return x


def kinds():
    x = 1
    x = 1.5
    x = None
    x = True
    x = 2**40
    x = 2**80
    x = 2**80 + 1
    x = "a"
    x = 1
    x = 1
    x = 1.0
    x = 1.0
    x = float("nan")
    x = float("nan")
    y = x
    x = y
    x = [1]
    x = 1
    x += 1
    x = [x]
    x += [2]
    x = 3
    del x
    x = 4
    x = ()
    return x


def generates(n):
    x = 0
    while x < n: x += 1; yield x
    y = yield x
    for x in range(n): y = x; yield
    x = yield from range(2)
    x = 1


def delegates():
    for again in range(3):
        x = yield from catches(); y = x


def catches():
    try:
        yield 1
    except ValueError:
        caught = 2
    return caught


def interrupted(n):
    seen = 0

    def handle(number, frame):
        nonlocal seen
        stored = number
        seen += 1

    before = signal.signal(signal.SIGUSR1, handle)
    while seen < n:
        x = 1
        signal.raise_signal(signal.SIGUSR1); x = 2
        x = 3; signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def recurses(n):
    x = n and recurses(n - 1); y = x
    z = 1 if not n else recurses(n - 1)
    return z


def walrus(values):
    count = 0
    while (value := values.pop()) and (count := count + 1): pass
    if (n := count) > 1: count = n
    return [m := n, m, (k := m)]


def waits(n):
    async def one(x):
        y = x; return y

    async def two():
        a = await one(1); b = a
        a = 1; await one(a); a = 2
        for a in range(n): b = await one(a)
        async with context() as a: b = a; a = 3
        return b

    class context:
        async def __aenter__(self): c = 1; return c
        async def __aexit__(self, *error): c = 2

    try: two().send(None)
    except StopIteration as stop: value = stop.value; n = 0


def everything():
    one_line_loops(4)
    one_line_branches([0, 1, 2, 3, 4])
    one_line_branches([0, 1])
    one_line_branches([])
    many_on_a_line(3)
    ends_in_a_loop(3)
    ends_in_a_loop(0)
    ends_in_a_branch(2)
    ends_in_a_branch(0)
    no_line_of_its_own(7)
    over_many_lines(1, 2)
    lines_that_come_back(1, 2)
    lines_that_come_back(2, 1)
    raises(0)
    raises(1)
    runs_code(Number(3))
    runs_code(Number(1))
    kinds()
    list(generates(3))
    thrown = generates(3)
    next(thrown)
    try:
        thrown.throw(ValueError)
    except ValueError:
        pass
    thrown = delegates()
    next(thrown)
    thrown.throw(ValueError)
    thrown.throw(ValueError)
    closed = generates(2)
    next(closed)
    closed.close()
    interrupted(3)
    recurses(3)
    walrus([0, 3, 2, 1])
    waits(2)


# The first time that a store is seen, its line may be gone through more closely.
for again in range(3):
    everything()
