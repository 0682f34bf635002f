"""Child: everything that can observe a run, with one interface.

start(subject) begins and returns what to call instead of subject.run; events() returns the
number of events since it was last called, where that is known; stop() ends. A subject has
`run` (no arguments), `file` (of the code to observe), `one` (a function in it), `hot` and
`source` and `run_of` (module namespace -> run) for observers that compile it anew."""

import builtins
import os
import sys

from . import helper as helpers


class Observer:
    name = ""
    package = ""  # of PyPI, that it comes from
    settles = True  # runs once before it is timed: sites are seen once, and then known
    settle_seconds = 0.0  # and again until so long has passed

    def start(self, subject):
        raise NotImplementedError

    def events(self):
        return 0

    def stop(self):
        raise NotImplementedError


# ---- memtrace --------------------------------------------------------------------------------


class Memtrace(Observer):
    """memtrace with the options that lines(subject) gives."""

    def __init__(self, name, helper, lines):
        self.name = name
        self._helper = helper
        self._lines = lines
        self._seen = 0

    def start(self, subject):
        self._helper.request("verb=install", *self._lines(subject))
        return subject.run

    def events(self):
        before, self._seen = self._seen, self._helper.events()
        return self._seen - before

    def stop(self):
        self._helper.request("verb=remove")


def _full(subject):
    return ["only=" + helpers.literal(subject.file)]


def _break_false(subject):
    function, variable, condition = subject.hot
    return [
        "record=0",
        "break=1",
        "break-file=" + helpers.literal(subject.file),
        "break-function=" + function,
        "break-target=" + variable,
        "break-if=" + condition,
    ]


_LIMITED = "full, max-overhead 2x"
_MODES = {
    "full": _full,
    "full, mutations off": lambda subject: _full(subject) + ["mutations=0"],
    "full, --skip-var i": lambda subject: _full(subject) + ["skip-var=i"],
    _LIMITED: lambda subject: _full(subject) + ["max-overhead=200"],
    "full --all": lambda subject: ["all=1"],
    "--only one function": lambda subject: ["only=" + helpers.literal(subject.one)],
    "--only nothing": lambda subject: ["only=no-such-file-of-the-benchmark.py"],
    "break, never written": lambda subject: ["record=0", "break=1", "break-target=nobody_writes"],
    "break, condition false": _break_false,
}
MODES = tuple(_MODES)
UNTRACED = "untraced"


def memtrace(mode, helper):
    """memtrace in one of MODES."""
    observer = Memtrace(mode, helper, _MODES[mode])
    if mode == _LIMITED:
        observer.settle_seconds = 0.5  # it learns what is hot
    return observer


# ---- floors ----------------------------------------------------------------------------------


FLOOR_TRACES = "floor: C settrace, opcodes"
FLOOR_MONITORS = "floor: C stores recorded"


class TraceFloor(Observer):
    """An empty C trace function: `lines`, or `opcodes` (up to 3.11)."""

    def __init__(self, what):
        import trace_floor

        self.name = "floor: C settrace, " + what
        self._on = getattr(trace_floor, what)
        self._off = trace_floor.off
        self._running = False

    def start(self, subject):
        self._on()
        self._running = True
        return subject.run

    def events(self):
        # Only the floor's own `off` tells; it begins to count anew when switched on.
        if not self._running:
            return 0
        count = self._off()
        self._on()
        return count

    def stop(self):
        self._off()
        self._running = False


class StoreFloor(Observer):
    """Stores seen by sys.monitoring and kept (3.12 and later)."""

    name = FLOOR_MONITORS
    TOOL = 4
    STORES = (
        "STORE_FAST",
        "STORE_NAME",
        "STORE_GLOBAL",
        "STORE_DEREF",
        "STORE_ATTR",
        "STORE_SUBSCR",
        "DELETE_FAST",
        "STORE_FAST_STORE_FAST",
        "STORE_FAST_LOAD_FAST",
    )

    def __init__(self):
        import opcode

        import store_floor

        self._floor = store_floor
        stores = [opcode.opmap[name] for name in self.STORES if name in opcode.opmap]
        store_floor.setup(sys.monitoring.DISABLE, stores, opcode.opmap["STORE_FAST"])

    def start(self, subject):
        monitoring = sys.monitoring
        monitoring.use_tool_id(self.TOOL, "store_floor")
        event = monitoring.events.INSTRUCTION
        monitoring.register_callback(self.TOOL, event, self._floor.on_instruction)
        monitoring.set_events(self.TOOL, event)
        # Locations that an earlier tool disabled stay so otherwise (3.12).
        monitoring.restart_events()
        return subject.run

    def events(self):
        return self._floor.taken()

    def stop(self):
        monitoring = sys.monitoring
        monitoring.set_events(self.TOOL, 0)
        monitoring.register_callback(self.TOOL, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(self.TOOL)


def floors():
    """The floors that there are for this interpreter; the first is what memtrace is held to."""
    if sys.version_info >= (3, 12):
        return [StoreFloor(), TraceFloor("lines")]
    return [TraceFloor("opcodes"), TraceFloor("lines")]


# ---- the tutorial's tracer -------------------------------------------------------------------


class Tutorial(Observer):
    """What tutorials on sys.settrace show: at each line compare a copy of all locals with the
    copy of the line before, and print the differences."""

    name = "tutorial's tracer"
    settles = False

    def start(self, subject):
        self._file = subject.file
        self._sink = open(os.devnull, "w")
        self._before = {}
        self._count = 0
        sys.settrace(self._trace)
        return subject.run

    def _trace(self, frame, what, argument):
        if frame.f_code.co_filename != self._file:
            return None
        before = self._before.get(frame, {})
        now = dict(frame.f_locals)
        for name, value in now.items():
            if name not in before:
                self._print(frame, "NEW %s = %r" % (name, value))
            elif before[name] != value:
                self._print(frame, "MODIFIED %s: %r -> %r" % (name, before[name], value))
        for name in before.keys() - now.keys():
            self._print(frame, "DELETED %s (was %r)" % (name, before[name]))
        if what == "return":
            self._before.pop(frame, None)
        else:
            self._before[frame] = now
        return self._trace

    def _print(self, frame, text):
        self._count += 1
        print("[%s:%d] %s" % (frame.f_code.co_name, frame.f_lineno, text), file=self._sink)

    def events(self):
        count, self._count = self._count, 0
        return count

    def stop(self):
        sys.settrace(None)
        self._before.clear()
        self._sink.close()


# ---- peers from PyPI -------------------------------------------------------------------------


class _Peer(Observer):
    settles = False

    def start(self, subject):
        self._sink = open(os.devnull, "w")
        return self._start(subject)

    def stop(self):
        self._stop()
        self._sink.close()

    def _stop(self):
        pass


class PySnooper(_Peer):
    name = "PySnooper"
    package = "PySnooper"

    def _start(self, subject):
        import pysnooper

        return pysnooper.snoop(self._sink, depth=50)(subject.run)


class Snoop(_Peer):
    name = "snoop"
    package = "snoop"

    def _start(self, subject):
        import snoop

        snoop.install(builtins=False, out=self._sink, color=False)
        return snoop.snoop(depth=50)(subject.run)


class Hunter(_Peer):
    name = "hunter, VarsSnooper"
    package = "hunter"

    def _start(self, subject):
        import hunter

        self._tracer = hunter.trace(
            hunter.Q(filename=subject.file), action=hunter.VarsSnooper(stream=self._sink)
        )
        return subject.run

    def _stop(self):
        self._tracer.stop()


class HunterNothing(Hunter):
    name = "hunter, no match"

    def _start(self, subject):
        import hunter

        self._tracer = hunter.trace(
            hunter.Q(function="nobody_writes"), action=hunter.VarsSnooper(stream=self._sink)
        )
        return subject.run


class Watchpoints(_Peer):
    name = "watchpoints, one list"
    package = "watchpoints"

    def _start(self, subject):
        from watchpoints import unwatch, watch

        watched_list = [1, 2, 3]
        watch(watched_list, callback=self._changed, file=self._sink)
        self._unwatch = unwatch
        return subject.run

    def _changed(self, *arguments):
        raise AssertionError("nobody changes the list")

    def _stop(self):
        self._unwatch()


class VizTracer(_Peer):
    name = "VizTracer, log_var"
    package = "viztracer"

    def _start(self, subject):
        import viztracer
        from viztracer.code_monkey import CodeMonkey

        # As `viztracer --log_var '.*' FILE` does.
        monkey = CodeMonkey(subject.file)
        monkey.add_instrument("log_var", {"varnames": [".*"]})
        self._tracer = viztracer.VizTracer(verbose=0)
        builtins.__viz_tracer__ = self._tracer
        namespace = {"__name__": "observed", "__file__": subject.file}
        sys.modules["observed"] = type(sys)("observed")
        exec(monkey.compile(subject.source, subject.file, "exec"), namespace)
        sys.modules["observed"].__dict__.update(namespace)
        self._tracer.start()
        return subject.run_of(namespace)

    def _stop(self):
        self._tracer.stop()
        self._tracer.clear()


PEERS = (PySnooper, Snoop, Hunter, HunterNothing, Watchpoints, VizTracer)
