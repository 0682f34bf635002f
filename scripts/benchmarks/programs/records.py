"""Data classes, properties and named tuples: an account book with a running balance."""

import collections
import dataclasses

SIZE = 4000
PEER_SIZE = 20
ONE = "Account.apply"

Entry = collections.namedtuple("Entry", "number account amount")


@dataclasses.dataclass
class Account:
    name: str
    _balance: int = 0
    entries: list = dataclasses.field(default_factory=list)
    lowest: int = 0

    @property
    def balance(self):
        return self._balance

    @balance.setter
    def balance(self, value):
        self._balance = value
        if value < self.lowest:
            self.lowest = value

    def apply(self, entry):
        self.entries.append(entry)
        self.balance += entry.amount


@dataclasses.dataclass
class Book:
    accounts: dict
    count: int = 0

    def transfer(self, source, target, amount):
        self.count += 1
        self.accounts[source].apply(Entry(self.count, source, -amount))
        self.accounts[target].apply(Entry(self.count, target, amount))


def run(size):
    names = ["account %d" % i for i in range(10)]
    book = Book({name: Account(name) for name in names})
    for i in range(size):
        book.transfer(names[i % 10], names[(i * 7 + 3) % 10], i % 97)
    return sorted((a.balance, a.lowest, len(a.entries)) for a in book.accounts.values())
