"""A bank: attributes, items, methods and exceptions together, as programs have them."""


class InsufficientFunds(Exception):
    pass


class Account:
    interest = 0.5
    accounts = {}

    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance
        self.history = []
        Account.accounts[owner] = self

    def withdraw(self, amount):
        if amount > self.balance:
            raise InsufficientFunds(amount)
        self.balance -= amount
        self.history.append(("out", amount))

    def deposit(self, amount):
        self.balance += amount
        self.history += [("in", amount)]


def transfer(source, target, amount):
    balance = source.balance
    try:
        source.withdraw(amount)
    except InsufficientFunds as error:
        failed = error.args[0]
        source.history.append(("failed", failed))
        return False
    target.deposit(amount)
    balance = source.balance
    return True


ann = Account("ann", 100)
bob = Account("bob")
transfer(ann, bob, 30)
transfer(bob, ann, 50)
for account in Account.accounts.values():
    account.balance += int(account.balance * account.interest)
totals = {name: account.balance for name, account in Account.accounts.items()}
