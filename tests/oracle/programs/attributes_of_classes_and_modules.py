"""Attributes of classes, inherited class attributes, modules, functions."""
import types


class Base:
    shared = 1


class Derived(Base):
    pass


Base.shared = 2
Derived.shared = 3
Derived.own = [1]
Base.shared += 1
del Derived.shared
module = types.ModuleType("made_up")
module.value = 1
module.value = 2
del module.value


def function():
    function.calls += 1


function.calls = 0
function()
function()
del function.calls
space = types.SimpleNamespace(a=1)
space.a = 2
space.b = space.a
