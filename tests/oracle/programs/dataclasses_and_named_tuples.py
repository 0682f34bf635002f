"""dataclasses, named tuples, enums."""
import dataclasses
import enum
from collections import namedtuple


@dataclasses.dataclass
class Account:
    owner: str
    balance: int = 0
    tags: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.balance += 1


@dataclasses.dataclass(frozen=True)
class Fixed:
    n: int


class Color(enum.IntEnum):
    RED = 1
    BLUE = 2


Point = namedtuple("Point", "x y")
account = Account("ann", 5)
account.balance -= 2
account.tags.append("new")
account.owner = account.owner + "a"
fixed = Fixed(1)
try:
    fixed.n = 2
except dataclasses.FrozenInstanceError:
    pass
point = Point(1, 2)
x, y = point
point = point._replace(x=5)
color = Color.RED
color = Color.BLUE
