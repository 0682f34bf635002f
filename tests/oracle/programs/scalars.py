"""Big ints, floats, nan, -0.0, bools, strings and bytes: same or different."""
big = 2 ** 62
big = 2 ** 63
big = 2 ** 64 - 1
big = -(2 ** 63)
big = -(2 ** 100)
big = 10 ** 60
big = big + 0
small = -5
small = 256
small = int("256")
large = 1000
large = int("1000")
truth = 1
truth = True
truth = 1
zero = 0
zero = 0.0
zero = -0.0
zero = 0.0
nan = float("nan")
nan = float("nan")
inf = float("inf")
inf = -inf
f = 0.1
f = 1e16
f = 1e-5
f = 1.5e300
f = 123456789.125
z = 1 + 2j
z = 1 + 2j
z = complex(-0.0, float("inf"))
z = 2j
text = "ab"
text = "".join(["a", "b"])
text = "ab\n\t'\\"
text = 'both \' and "'
text = "é ü 漢字 \U0001f600"
text = "\x00\x7f\x1b\u200b\ud800"
text = ""
raw = b"ab"
raw = bytes([97, 98])
raw = b"\x00\xff'\n"
none = None
none = not None


def keep_the_same_nan(nans):
    items = [0]
    for nan in nans:
        x = nan
        items[0] = nan


keep_the_same_nan([nan, 1.0, nan, nan, nan, float("nan")])
