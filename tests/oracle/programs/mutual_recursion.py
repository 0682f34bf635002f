"""Two functions that call each other, and a closure per call."""
order = []


def even(n):
    answer = None
    answer = True if n == 0 else odd(n - 1)
    order.append(n)
    return answer


def odd(n):
    answer = False if n == 0 else even(n - 1)

    def note():
        nonlocal answer
        answer = not answer
        answer = not answer

    note()
    return answer


even(5)
