"""Statements over many lines, and many on one."""
a = (
    1
)
b = [
    a,
    2,
]; c = 3
b[
    0
] = (
    5
)


def function(
    first,
    second=(
        2
    ),
):
    x = {
        "k": first,
    }
    x["k"], \
        second = (
            1,
            2,
        )
    (
        y
    ) = x
    for i in (
        1,
        2,
    ): x[i] = i; z = i
    with open(
        "/dev/null"
    ) as (
        stream
    ):
        pass
    return x


function(
    1,
)


@(
    lambda f: f
)
def decorated(
    a
):
    return a


decorated(1)
