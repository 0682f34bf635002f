"""s += "x" and other immutables that grow."""


def build():
    s = ""
    for c in "abc":
        s += c
    t = ()
    for n in range(2):
        t += (n,)
    b = b""
    b += b"x"
    f = frozenset()
    f |= {1}
    return s


build()
