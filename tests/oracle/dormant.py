"""One way for code to come to run while nothing that runs is recorded: test_dormant.py's child.

    dormant.py CASE

A case is a function below. It prints "done", or why it can't be tried here ("skip: …").
What is to be recorded is called `wanted`: a function's name, or a file's.
"""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import sys
import tempfile
import threading
import traceback
import types
from pathlib import Path
from typing import Any, Callable, Iterator

import harness

SOURCE = "def wanted(number):\n    double = number * 2\n    return double\n"
EVENTS = ["number", "double"]
RUNTIME_BYTES = 2048  # as far into _PyRuntime as the list of audit hooks is


class ThreadState(ctypes.Structure):
    """The beginning of 3.11's PyThreadState."""


ThreadState._fields_ = [
    ("prev", ctypes.c_void_p),
    ("next", ctypes.POINTER(ThreadState)),
    ("interp", ctypes.c_void_p),
    ("numbers", ctypes.c_int * 7),
    ("cframe", ctypes.POINTER(ctypes.c_uint8)),  # begins with use_tracing
    ("profile_function", ctypes.c_void_p),
    ("trace_function", ctypes.c_void_p),
]

interpreter = ctypes.pythonapi.PyInterpreterState_Get
interpreter.restype = ctypes.c_void_p
first_thread = ctypes.pythonapi.PyInterpreterState_ThreadHead
first_thread.argtypes, first_thread.restype = [ctypes.c_void_p], ctypes.POINTER(ThreadState)
runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))


def thread_states() -> Iterator[Any]:
    at = first_thread(interpreter())
    while at:
        yield at.contents
        at = at.contents.next


def wanted_code() -> Any:
    """Code of the function in SOURCE, which no function has and no code holds."""
    module = compile(SOURCE, "some.py", "exec")
    return next(constant for constant in module.co_consts if isinstance(constant, types.CodeType))


class Recording(harness.MemtraceRecording):
    def __init__(self, *lines: str) -> None:
        super().__init__(list(lines or ["only=wanted"]))
        # What raises an audit event has to be done before.
        maps = Path("/proc/self/maps").read_text().splitlines()
        name = str(harness.helper_path())
        ends = [line.split()[0].split("-") for line in maps if line.endswith(name)]
        self._low, high = int(ends[0][0], 16), int(ends[-1][1], 16)
        self._high = high + 65536  # what is zero at first is behind what the file has
        self._runtime = (ctypes.c_uint64 * (RUNTIME_BYTES // 8)).from_address(runtime)

    def is_heard(self) -> bool:
        """Is there an audit hook of the helper's in the interpreter?"""
        return any(self._low <= word < self._high for word in self._runtime)

    def stop(self) -> None:
        super().stop()
        assert not self.is_heard()
        assert not self.control.dormant
        assert not any(state.trace_function or state.cframe[0] for state in thread_states())

    def check(self, dormant: bool) -> None:
        """Do the trace functions of all threads fit what the control block says?"""
        assert self.control.dormant == dormant, f"{self.control.dormant=}"
        for state in thread_states():
            assert bool(state.trace_function) != dormant
            assert bool(state.cframe[0]) != dormant

    def change(self, *lines: str) -> None:
        self._request(["verb=change", f"value-size={harness.VALUE_BYTES}", *lines])

    def names(self) -> list[str]:
        return [event["name"] for event in self.events()]


def woken_by(action: Callable[[], Any], expected: list[str], *lines: str) -> None:
    """Nothing is traced until `action`, which is recorded from its first instruction on."""
    recording = Recording(*lines)
    recording.start()
    recording.check(dormant=True)
    assert recording.is_heard()
    action()
    recording.check(dormant=False)
    recording.stop()
    assert recording.names() == expected, recording.names()


def made_by(source: str) -> Any:
    """What calling the source's function makes, which is all that is left of the function."""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace.pop("wanted")()


def not_dormant(*lines: str) -> None:
    recording = Recording(*lines)
    recording.start()
    recording.check(dormant=False)
    recording.stop()


# ---- what comes while it is dormant -------------------------------------------------------------


def import_of_a_module() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "wanted.py").write_text("first = 1\nsecond = 2\n")
        sys.path.insert(0, directory)
        woken_by(lambda: __import__("wanted"), ["first", "second"])


def run_of_a_module() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "wanted.py")
        path.write_text("first = 1\nsecond = 2\n")
        woken_by(lambda: runpy.run_path(str(path)), ["first", "second"])


def exec_of_code() -> None:
    code = compile("first = 1", "wanted.py", "exec")
    woken_by(lambda: exec(code, {}), ["first"])


def eval_of_code() -> None:
    code = compile("(first := 1)", "wanted.py", "eval")
    woken_by(lambda: eval(code, {}), ["first"])


def exec_of_text_that_defines() -> None:
    woken_by(lambda: exec(SOURCE + "wanted(1)\n", {}), EVENTS)


def function_of_code() -> None:
    code = wanted_code()
    woken_by(lambda: types.FunctionType(code, {})(1), EVENTS)


def code_of_a_function() -> None:
    code = wanted_code()

    def other(number):
        pass

    def action():
        other.__code__ = code
        other(1)

    woken_by(action, EVENTS)


def call_by_ctypes() -> None:
    code = wanted_code()

    def action():
        make = ctypes.pythonapi.PyFunction_New
        make.argtypes, make.restype = [ctypes.py_object] * 2, ctypes.py_object
        make(code, {})(1)

    woken_by(action, EVENTS)


def compiled_file_as_main_program() -> None:
    """Which nobody but the interpreter itself can run; it announces it so."""
    woken_by(lambda: sys.audit("cpython.run_file", "/no/such/file.pyc"), [])


def class_body() -> None:
    expected = ["__module__", "__qualname__", "first"]
    woken_by(lambda: exec("class wanted:\n    first = 1\n", {}), expected)


def breakpoint_on_a_name() -> None:
    lines = ["record=0", "break=1", "break-target=self.nobody_else", "break-if=0"]
    source = "class A: pass\nself = A()\nself.nobody_else = 1\n"
    woken_by(lambda: exec("self = 1", {}) or exec(source, {}), [], *lines)


def breakpoint_on_a_name_that_is_there() -> None:
    lines = ["record=0", "break=1", "break-if=0"]
    not_dormant(*lines, "break-target=lines")
    not_dormant(*lines, "break-target=self._lines")
    recording = Recording(*lines, "break-target=nobody_else._lines")
    recording.start()
    recording.check(dormant=True)
    recording.stop()


def subinterpreter() -> None:
    try:
        import _xxsubinterpreters
    except ImportError:
        skip("this interpreter came without _xxsubinterpreters")

    def action():
        number = _xxsubinterpreters.create()
        _xxsubinterpreters.run_string(number, SOURCE + "wanted(1)")

    woken_by(action, EVENTS)


def thread_that_began_before() -> None:
    functions: list[Any] = []
    begun, defined = threading.Event(), threading.Event()

    def other():
        begun.set()
        defined.wait()
        functions.pop()(1)

    def action():
        namespace: dict[str, Any] = {}
        exec(SOURCE, namespace)
        functions.append(namespace["wanted"])
        defined.set()
        thread.join()

    recording = Recording()
    recording.start()
    thread = threading.Thread(target=other)  # nobody covers it
    thread.start()
    begun.wait()
    recording.check(dormant=True)
    action()
    recording.check(dormant=False)
    recording.stop()
    assert recording.names() == EVENTS, recording.names()


def library_that_runs_code() -> None:
    """From outside of the interpreter: no event would tell."""
    woken_by(import_testcapi, [])


def library_that_does_not() -> None:
    recording = Recording()
    found = library_of_its_own()
    recording.start()
    recording.check(dormant=True)
    __import__(found)
    sum(1 for _ in range(1000))  # the pending call runs
    recording.check(dormant=True)
    exec(SOURCE + "wanted(1)\n", {})
    recording.stop()
    assert recording.names() == EVENTS, recording.names()


def library_with_a_hook_in_python() -> None:
    """Which can do anything between the event and the loading."""
    found = library_of_its_own()
    sys.addaudithook(lambda event, arguments: None)
    woken_by(lambda: __import__(found), [])


# ---- what is there ------------------------------------------------------------------------------


def function_that_is_there() -> None:
    namespace: dict[str, Any] = {}
    exec(SOURCE, namespace)
    not_dormant()


def function_that_the_collector_is_kept_from() -> None:
    namespace: dict[str, Any] = {}
    exec(SOURCE, namespace)
    gc.freeze()
    not_dormant()


def function_that_is_to_be_made() -> None:
    source = "def outer():\n    def between():\n        def wanted():\n            pass\n"
    exec(source, {}, found := {})
    assert found["outer"].__code__.co_consts
    not_dormant()


def generator_that_waits() -> None:
    namespace: dict[str, Any] = {}
    exec("def wanted():\n    first = 1\n    yield\n    second = 2\n    yield\n", namespace)
    waiting = namespace["wanted"]()
    next(waiting)
    namespace["wanted"].__code__ = (lambda: None).__code__
    not_dormant()
    waiting.close()
    recording = Recording()
    recording.start()
    recording.check(dormant=True)  # it has ended
    recording.stop()


def coroutine_that_has_not_begun() -> None:
    waiting = made_by("async def wanted():\n    first = 1\n")
    not_dormant()
    waiting.close()


def async_generator_that_has_not_begun() -> None:
    waiting = made_by("async def wanted():\n    yield\n")
    not_dormant()
    assert waiting


def frame_of_another_thread() -> None:
    namespace: dict[str, Any] = {}
    exec("def wanted(begun, end):\n    begun.release()\n    end.acquire()\n", namespace)
    begun, end = threading.Lock(), threading.Lock()
    begun.acquire(), end.acquire()
    import _thread

    _thread.start_new_thread(namespace["wanted"], (begun, end))
    begun.acquire()
    namespace["wanted"].__code__ = (lambda begun, end: None).__code__
    not_dormant()
    end.release()


def function_found_by_ctypes_before() -> None:
    assert ctypes.pythonapi.PyEval_EvalCode
    not_dormant()


def library_that_was_there() -> None:
    import_testcapi()
    not_dormant()


def garbage_being_collected() -> None:
    """Part of the objects is in no list then."""
    recording = Recording()
    seen = []

    def look(phase, information):
        if not seen:
            recording.start()
            recording.check(dormant=False)
            seen.append(phase)

    gc.callbacks.append(look)
    gc.collect()
    assert seen
    recording.stop()


# ---- options, and ends --------------------------------------------------------------------------


def options_that_change() -> None:
    namespace: dict[str, Any] = {}
    exec(SOURCE.replace("wanted", "there"), namespace)
    exec("def there_too():\n    for x in 1, 2, 3:\n        yield\n", namespace)
    waiting = namespace["there_too"]()
    recording = Recording()
    recording.start()
    recording.check(dormant=True)
    recording.change("only=there*")
    recording.check(dormant=False)
    namespace["there"](1)
    next(waiting)
    recording.change("only=wanted")
    recording.check(dormant=True)
    assert not waiting.gi_frame.f_trace_opcodes and waiting.gi_frame.f_trace_lines
    next(waiting)
    namespace["there"](1)
    recording.change("only=there*")
    next(waiting)
    recording.stop()
    assert recording.names() == [*EVENTS, "x", "x"], recording.names()


def fork_that_is_followed() -> None:
    recording = Recording("only=wanted", "follow-fork=1")
    recording.start()
    helper = ctypes.PyDLL(str(harness.helper_path()))
    helper.memtrace_open.restype = ctypes.POINTER(recording._abi.Control)
    nothing = ctypes.c_uint64(0)
    recording.check(dormant=True)
    child = os.fork()
    if child:
        recording.stop()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return
    status = 1
    try:
        recording._control = helper.memtrace_open(nothing)  # which there is
        recording.check(dormant=True)
        exec(SOURCE + "wanted(1)\n", {})
        recording.check(dormant=False)
        recording.stop()
        status = recording.names() != EVENTS
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def fork_that_is_not_followed() -> None:
    recording = Recording()
    recording.start()
    child = os.fork()
    if child:
        recording.stop()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return
    status = 1
    try:
        exec(SOURCE + "wanted(1)\n", {})
        status = recording.is_heard() or any(state.trace_function for state in thread_states())
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def tracer_that_comes_and_goes() -> None:
    """It has the thread to itself; what it takes nobody misses."""
    seen = []
    namespace: dict[str, Any] = {}

    def tracer(frame, event, argument):
        seen.append(frame.f_code.co_name)

    recording = Recording()
    recording.start()
    sys.settrace(tracer)
    sys.settrace(None)
    sum(1 for _ in range(1000))  # the pending call runs
    recording.check(dormant=True)
    sys.settrace(tracer)
    assert recording.control.dormant and not recording.lost(), recording.lost()
    exec(SOURCE + "wanted(1)\n", namespace)
    assert "wanted" in seen
    sys.settrace(None)
    for _ in range(10):
        namespace["wanted"](1)
    recording.check(dormant=False)
    recording.stop()
    assert recording.control.lost_foreign_tracer
    found = {event["name"] for event in harness.read_buffer(recording.control)}
    assert found == set(EVENTS)


# ---- helpers ------------------------------------------------------------------------------------


def skip(why: str) -> None:
    print(f"skip: {why}")
    sys.exit(0)


def import_testcapi() -> None:
    try:
        __import__("_testcapi")
    except ImportError:
        skip("this interpreter came without _testcapi, a library that runs code by itself")


def library_of_its_own() -> str:
    """The name of an extension module that is a file, harmless, and not loaded yet."""
    import importlib.util

    for name in ("_queue", "_json", "_bz2", "_lzma", "_curses", "readline", "termios"):
        found = importlib.util.find_spec(name)
        if name not in sys.modules and found and str(found.origin).endswith(".so"):
            return name
    skip("this interpreter came with no extension module in a file of its own")
    return ""


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("done")
