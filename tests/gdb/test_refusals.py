"""What memtrace can't do: a message with the remedy, gdb usable afterwards, the process as it
was, and a failing exit status of `gdb -batch`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from processes import assert_free, changed_text, status, thread_count
from session import BatchResult, GdbSession, build_directory, run_batch, slowness
from targets import Target, interpreter, python_program

USABLE = "print 6 * 7"


def refused(
    *arguments: str,
    reason: str,
    remedy: str = "",
    command: str = "memtrace on",
    environment: "dict[str, str] | None" = None,
) -> BatchResult:
    """Run the command; check message, status, and that gdb still works."""
    result = run_batch(*arguments, commands=[command, USABLE], environment=environment)
    assert re.search(rf"^memtrace: .*{reason}", result.stderr, re.MULTILINE), result
    assert re.search(remedy, result.stderr), result
    assert "= 42" in result.stdout, result
    assert result.returncode == 1, result
    return result


def refused_by(target: Target, reason: str, remedy: str = "", **more: "dict[str, str]") -> None:
    """The same on a debuggee, which goes on as before."""
    threads = thread_count(target.pid)
    refused("-p", str(target.pid), reason=reason, remedy=remedy, **more)
    assert_free(target.pid, threads)
    assert changed_text(target.pid) == []


def test_no_process_and_no_program() -> None:
    refused(reason="there is no process, and no program", remedy="gdb -p PID, then: memtrace on")


def test_no_such_pid() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    refused("-p", str(process.pid), reason=f"there is no process {process.pid}")


def test_a_process_that_another_one_traces() -> None:
    with Target("waits.py") as target:
        with GdbSession("-p", str(target.pid), plugin=None) as other:
            refused(
                "-p",
                str(target.pid),
                reason=rf"process {other.pid} \(gdb\) traces it already",
                remedy="detach there",
            )
            other.command("detach")
        assert target.finish() == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of two users")
def test_a_process_of_another_user() -> None:
    with Target("waits.py") as target:
        plugin = Path(__file__).parents[2] / "gdbplugin" / "memtrace-gdb.py"
        result = subprocess.run(
            [
                "setpriv",
                "--reuid=65534",
                "--clear-groups",
                "/usr/bin/gdb",
                "-nx",
                "-batch",
                "-ex",
                f"source {plugin}",
                "-ex",
                "memtrace on",
                "-ex",
                USABLE,
                "-p",
                str(target.pid),
            ],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
        )
        if "Permission denied" in result.stderr or "No such file" in result.stderr:
            pytest.skip(f"user 65534 can't read the checkout: {result.stderr.splitlines()[-1]}")
        assert f"could not attach to process {target.pid}: it belongs to user 0" in result.stderr
        assert "run gdb as that user or as root" in result.stderr
        assert result.returncode == 1
        assert target.finish() == "1"


def test_a_process_that_is_not_python() -> None:
    process = subprocess.Popen(["sleep", "1000"])
    try:
        # It has exec'ed when it sleeps.
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            pass
        refused("-p", str(process.pid), reason="does not run CPython", remedy="3.8 and later")
        assert_free(process.pid, 1)
    finally:
        process.kill()
        process.wait()


def test_no_helper_says_which_and_what_builds_it(tmp_path: Path) -> None:
    reader = "libmemtrace-reader.so"
    (tmp_path / reader).symlink_to(build_directory() / "lib" / reader)
    python = interpreter()
    # Before 3.11 only the running interpreter knows its third number.
    version = r"3\.\d+" + (re.escape(python.release[4:]) if python.version >= (3, 11) else "")
    with Target("waits.py") as target:
        environment = {"MEMTRACE_LIB": str(tmp_path)}  # the only place, where it is set
        refused_by(
            target,
            reason=rf"runs CPython {version} \({python.soabi}\); its helper "
            rf"{python.helper} is not in",
            remedy=r"cmake -B build -S \S+ -DMEMTRACE_PYTHONS=\S*"
            rf"python3\.{python.version[1]}{python.abi_flags}-config",
            environment=environment,
        )
        assert target.finish() == "1"


def test_a_job_stopped_process() -> None:
    with Target("waits.py") as target:
        os.kill(target.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, target.pid, os.WSTOPPED | os.WNOWAIT)
        refused(
            "-p",
            str(target.pid),
            reason="is stopped by job control",
            remedy=f"shell kill -CONT {target.pid}",
        )
        # gdb lets go of it with a stop that it must first run to take; nothing tells when it has.
        deadline = time.monotonic() + 10 * slowness()
        while status(target.pid)["State"][0] != "T":
            assert time.monotonic() < deadline, status(target.pid)["State"]
        os.kill(target.pid, signal.SIGCONT)
        assert target.finish() == "1"


def test_a_job_stopped_process_can_be_entered_after_the_remedy() -> None:
    with Target("waits.py") as target:
        os.kill(target.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, target.pid, os.WSTOPPED | os.WNOWAIT)
        with GdbSession("-p", str(target.pid)) as gdb:
            assert "job control" in gdb.command("memtrace on")
            gdb.command(f"shell kill -CONT {target.pid}")
            assert "memtrace: recording" in gdb.command("memtrace on")
            gdb.command("memtrace off")
        assert_free(target.pid, 1)
        assert target.finish() == "1"


def test_a_process_that_runs_in_the_background_of_gdb() -> None:
    with Target("computes.py", "1000") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("continue &")
            assert "is running" in gdb.command("memtrace on")
            gdb.send("interrupt")
            gdb.expect("SIGINT")
            assert "= 42" in gdb.command(USABLE)
            gdb.command("detach")
        assert target.finish() == "500500"


# A constructor that holds the loader's lock until a file is there.
SLOW_CONSTRUCTOR = """
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void slow(void)
{
    int ready = atoi(getenv("MEMTRACE_READY_FD"));

    if (write(ready, "constructs\\n", 11) != 11)
        return;
    while (access(getenv("GO_ON"), F_OK))
        usleep(1000);
    if (write(ready, "constructed\\n", 12) != 12)
        return;
}
"""


def test_a_loader_that_is_busy_for_long_bounds_the_wait(tmp_path: Path) -> None:
    source, library, go_on = tmp_path / "slow.c", tmp_path / "slow.so", tmp_path / "go on"
    source.write_text(SLOW_CONSTRUCTOR)
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)
    environment = {"GO_ON": str(go_on)}
    with Target("loads.py", str(library), ready="constructs", environment=environment) as target:
        refused_by(target, reason="did not return in 5 s", remedy="let the process run")
        go_on.touch()
        target.expect("constructed")
        with GdbSession("-p", str(target.pid)) as gdb:
            assert "memtrace: recording" in gdb.command("memtrace on"), gdb.transcript()
            gdb.command("memtrace off")
        assert target.finish() == "right"


def test_an_interpreter_that_is_finalizing() -> None:
    with Target("finalizing.py") as target:
        refused_by(target, reason="Python is shutting down in this process")
        assert target.finish() == "right"


def test_a_process_that_has_no_room_for_the_buffer() -> None:
    with Target("short_of_memory.py") as target:
        refused_by(
            target,
            reason=r"can't make a buffer of 67108864 bytes: Cannot allocate memory",
            remedy="set memtrace buffer-size to less",
        )
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("set memtrace buffer-size 8M")
            assert "memtrace: recording" in gdb.command("memtrace on")
            gdb.command("memtrace off")
        assert target.finish() == "right"


def test_a_process_in_another_mount_namespace_gets_the_helper_by_memfd() -> None:
    hidden = Path(build_directory())
    enter = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hidden} && exec "$@"', "sh"]
    if subprocess.run([*enter, "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces can't be made here: unshare --mount is refused")
    with Target("waits.py", python=[*enter, python_program()]) as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            assert "memtrace: recording" in gdb.command("memtrace on")
            assert "memfd:memtrace-cpython-" in Path(f"/proc/{target.pid}/maps").read_text()
            assert "memtrace: off" in gdb.command("memtrace off")
        assert_free(target.pid, 1)
        assert target.finish() == "1"


def test_a_core_file_is_not_recorded(tmp_path: Path) -> None:
    core = tmp_path / "core"
    with Target("waits.py") as target:
        run_batch("-p", str(target.pid), commands=[f"gcore {core}"], plugin=None)
        assert target.finish() == "1"
    refused(
        python_program(), str(core), reason="a core file can't be recorded", remedy="memtrace log"
    )


def test_questions_without_a_recording() -> None:
    with Target("waits.py") as target:
        refused("-p", str(target.pid), reason="memtrace is not on", command="memtrace log")
        assert target.finish() == "1"


def test_an_unknown_option() -> None:
    refused(
        reason="unrecognized arguments: --ony",
        remedy="help memtrace on",
        command="memtrace on --ony x",
    )


def test_batch_keeps_the_status_that_quit_gives() -> None:
    assert run_batch(commands=["memtrace on", "quit 5"]).returncode == 5
    assert run_batch(commands=["memtrace off", "echo"]).returncode == 0


def test_a_process_behind_gdbserver() -> None:
    gdbserver = shutil.which("gdbserver")
    if gdbserver is None:
        pytest.skip("gdbserver is not installed (apt-get install gdbserver)")
    with Target("waits.py") as target:
        refused(
            "-iex",
            f"target remote | {gdbserver} --once --attach - {target.pid}",
            reason="not under this gdb's own control",
            remedy="run gdb where the process runs",
        )
        assert target.finish() == "1"


def test_non_stop_mode() -> None:
    with Target("waits.py") as target:
        refused(
            "-iex",
            "set non-stop on",
            "-p",
            str(target.pid),
            reason="gdb is in non-stop mode",
            remedy="set non-stop off",
        )
        assert target.finish() == "1"
