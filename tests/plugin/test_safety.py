"""safety.py: from which stacks functions may be called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace.safety import Frame, Rank, classify  # noqa: E402

LIBC = "libc.so.6"
PYTHON = "python3.11"


def libc(function: str = "", called: str = "") -> Frame:
    return Frame(0x7000, LIBC, function, called)


def python(function: str = "") -> Frame:
    return Frame(0x4000, PYTHON, function)


EVAL = python("_PyEval_EvalFrameDefault")
BASE = [EVAL, python("Py_RunMain"), libc(), libc("__libc_start_main"), python("_start")]
THREAD_BASE = [EVAL, python(), libc(), libc()]  # start_thread, clone3


def rank(*frames: Frame, syscall: int = -1, stack_left: "int | None" = None) -> Rank:
    return classify(frames, syscall, stack_left).rank


def test_a_thread_that_waits_is_best() -> None:
    frames = [libc("clock_nanosleep", "clock_nanosleep"), python(), *BASE]
    verdict = classify(frames, 230)
    assert verdict.rank == Rank.WAITS
    assert verdict.reason == "waits in clock_nanosleep"


def test_a_wait_is_known_by_the_name_it_was_called_by_when_its_frames_have_none() -> None:
    # sem_wait() leaves by a tail call: none of these frames is an exported function.
    frames = [libc(), libc(), libc(), libc(called="sem_wait"), python(), *THREAD_BASE]
    assert rank(*frames, syscall=202) == Rank.WAITS


def test_a_futex_whose_owner_is_unknown_may_be_the_allocators() -> None:
    assert rank(libc(), libc(), python(), *BASE, syscall=202) == Rank.UNSAFE


def test_a_function_is_known_by_any_of_its_names() -> None:
    # Called through a pointer, as ctypes does: there is only the symbol that has the address.
    assert rank(libc("__poll"), python(), *BASE, syscall=7) == Rank.WAITS
    assert rank(libc("__libc_malloc"), python(), *BASE) == Rank.UNSAFE
    assert rank(libc("memcpy"), libc("__fork"), python(), *BASE) == Rank.UNSAFE


def test_bytecode_comes_before_native_code() -> None:
    assert rank(*BASE) == Rank.BYTECODE
    assert rank(python("PyLong_FromLong"), *BASE) == Rank.NATIVE
    assert rank(Frame(1, "libcrypto.so.3", "SHA256_Final"), python(), *BASE) == Rank.NATIVE
    assert Rank.WAITS < Rank.BYTECODE < Rank.NATIVE < Rank.UNSAFE


@pytest.mark.parametrize(
    "name",
    [
        "malloc",
        "free",
        "calloc",
        "realloc",
        "dlopen",
        "fork",
        "posix_memalign",
        "exit",
        "pthread_create",
    ],
)
def test_the_allocator_and_its_like_are_unsafe(name: str) -> None:
    assert rank(libc(name), *BASE) == Rank.UNSAFE
    assert rank(libc(), libc(), libc(called=name), *BASE) == Rank.UNSAFE
    # Also with something harmless on top, and in a wait.
    assert rank(libc("memcpy"), libc(name), *BASE, syscall=202) == Rank.UNSAFE
    assert name in classify([libc(), libc(name), *BASE], -1).reason


def test_unsafe_frames_count_however_deep() -> None:
    constructor = Frame(1, "libother.so", "init")
    frames = [libc("poll", "poll"), constructor, Frame(2, "ld-linux-x86-64.so.2"), *BASE]
    assert classify(frames, 7).reason == "is in the dynamic loader"
    assert rank(libc("read", "read"), python(), libc("dlopen"), *BASE, syscall=0) == Rank.UNSAFE


@pytest.mark.parametrize(
    "module", ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.1", "libasan.so.8"]
)
def test_other_allocators_are_unsafe(module: str) -> None:
    assert rank(Frame(1, module, "mallocx"), *BASE) == Rank.UNSAFE


def test_what_cannot_be_named_is_unsafe() -> None:
    assert rank(libc(), *BASE) == Rank.UNSAFE
    assert rank(libc(called="memcpy"), *BASE) == Rank.NATIVE


def test_unknown_functions_of_the_c_library_are_unsafe_unless_they_wait() -> None:
    assert rank(libc("getaddrinfo", "getaddrinfo"), python(), *BASE) == Rank.UNSAFE
    frames = [libc("poll"), libc(), libc("getaddrinfo", "getaddrinfo"), python(), *BASE]
    assert rank(*frames, syscall=7) == Rank.WAITS


def test_a_callback_of_a_library_function_is_judged_by_both() -> None:
    assert rank(EVAL, python(), libc(called="qsort"), *BASE) == Rank.BYTECODE
    assert rank(EVAL, python(), libc(called="getaddrinfo"), *BASE) == Rank.BYTECODE
    assert rank(EVAL, python(), libc(), *BASE) == Rank.UNSAFE


def test_where_a_thread_begins_is_harmless_but_a_thread_that_only_begins_is_not() -> None:
    assert rank(*THREAD_BASE) == Rank.BYTECODE
    assert rank(libc(), libc()) == Rank.UNSAFE


def test_signal_handlers_and_calls_of_gdbs_are_unsafe() -> None:
    handler = [python(), Frame(3, special="runs a signal handler"), libc("malloc"), *BASE]
    assert classify(handler, -1).reason == "runs a signal handler"


def test_a_small_stack_is_left_alone() -> None:
    assert rank(*BASE, stack_left=16 * 1024) == Rank.UNSAFE
    assert rank(*BASE, stack_left=1 << 20) == Rank.BYTECODE
    assert rank(*BASE, stack_left=None) == Rank.BYTECODE


def test_no_stack_is_unsafe() -> None:
    assert rank(syscall=202) == Rank.UNSAFE


@pytest.mark.parametrize(
    "module", ["libc.so.6", "libc-2.31.so", "libpthread-2.31.so", "libpthread.so.0", "libdl.so.2"]
)
def test_files_of_the_c_library(module: str) -> None:
    assert rank(Frame(1, module, "malloc"), *BASE) == Rank.UNSAFE


@pytest.mark.parametrize("module", ["ld-linux-x86-64.so.2", "ld-2.31.so", "ld.so"])
def test_files_of_the_loader(module: str) -> None:
    assert rank(Frame(1, module), *BASE) == Rank.UNSAFE


def test_libcrypto_and_the_like_are_not_the_c_library() -> None:
    for module in ("libcrypto.so.3", "libcurl.so.4", "libdlib.so", "libcap.so.2"):
        assert rank(Frame(1, module), *BASE) == Rank.NATIVE
