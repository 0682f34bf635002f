"""An argument that is stored to is local from then on."""


def count(n, step=1, *rest, **more):
    n = n + step
    step += n
    rest = rest + (n,)
    more = None
    del n
    return step


count(1)
count(1, 2, 3, k=4)
