"""Functions in functions, lambdas, defaults that are evaluated."""


def outer(a):
    def middle(b=a):
        c = a + b

        def inner(d, e=c):
            f = a + b + c + d + e
            return f

        return inner

    return middle


result = outer(1)()(2)
double = lambda x, *rest, k=1: x * 2
double(3)
double(3, 4, k=5)
compose = lambda f, g: lambda x: f(g(x))
value = compose(double, double)(1)
table = {"add": lambda a, b: a + b}
total = table["add"](1, 2)
functions = [lambda n=n: n for n in range(2)]
values = [f() for f in functions]
sorted([3, 1], key=lambda v: -v)
