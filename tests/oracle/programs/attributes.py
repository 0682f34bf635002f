"""Attributes of plain instances: NEW, MODIFIED, DELETED, class attributes beneath."""


class Account:
    balance = 0

    def __init__(self, owner):
        self.owner = owner

    def pay(self, amount):
        self.balance = self.balance + amount
        self.balance += 1
        self.owner = self.owner
        return self


account = Account("ann")
account.pay(10).pay(5)
account.owner = "bob"
del account.owner
account.owner = None
try:
    del account.missing
except AttributeError:
    pass
try:
    (1).real = 2
except AttributeError:
    pass
