"""send, throw and close."""


def echo():
    received = None
    while True:
        try:
            received = yield received
        except KeyError as error:
            received = error.args[0]
        except GeneratorExit:
            received = "closed"
            raise
        finally:
            rounds = 1


it = echo()
next(it)
a = it.send(1)
b = it.send([2])
c = it.throw(KeyError("k"))
it.close()
it.close()
it = echo()
next(it)
try:
    it.throw(ValueError)
except ValueError:
    pass
