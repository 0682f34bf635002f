"""Variable breakpoints in real gdb sessions: where they stop, what they show, and that gdb's
own commands treat them as breakpoints."""

from __future__ import annotations

import re
from typing import Iterator

import pytest
from session import GdbSession
from targets import BANK, Target, interpreter, launch_batch, line_of, python_program


@pytest.fixture
def bank() -> Iterator[GdbSession]:
    """bank.py, about to be run and recorded."""
    with GdbSession("--args", python_program(), str(BANK)) as gdb:
        gdb.command("memtrace on")
        yield gdb


def stop_of(output: str) -> str:
    """The event of a stop: the last `KIND name…` line."""
    lines = [line for line in output.splitlines() if re.match(r"(NEW|MODIFIED|MUTATED|DEL)", line)]
    return lines[-1] if lines else ""


def test_stop_shows_breakpoint_place_thread_and_change(bank: GdbSession) -> None:
    made = bank.command("memtrace break transfer:balance if new < 0")
    assert made == (
        "Variable breakpoint 1: balance in transfer, if new < 0 (pending: until memtrace on)\n"
    )
    lines = bank.command("run").splitlines()
    line = line_of("balance -= amount")
    pid = bank.inferior_pid
    assert lines[-3:] == [
        "",
        f"Variable breakpoint 1, bank.py:{line} in transfer, thread {pid}",
        "MODIFIED balance: 40 → -20",
    ]
    assert "memtrace_hook_hit" not in "\n".join(lines)


def test_bt_locals_and_print_at_the_stop(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance if new < 0")
    bank.command("run")
    frames = bank.command("memtrace bt").splitlines()
    assert frames == [
        f"#0  transfer (bank.py:{line_of('balance -= amount')})",
        f"#1  main (bank.py:{line_of('transfer(ann, bob, 60)')})",
        f"#2  <module> (bank.py:{line_of('main(sys.argv[1]')})",
    ]
    assert bank.command("memtrace bt 1").splitlines() == frames[:1]
    assert bank.command("memtrace bt -1").splitlines() == frames[2:]
    assert f"transfer ({BANK}:" in bank.command("memtrace bt --paths")
    assert bank.command("memtrace bt --all").splitlines()[1:] == frames
    variables = bank.command("memtrace locals")
    assert re.search(r"^source = <Account at 0x[0-9a-f]+>$", variables, re.M)
    assert variables.endswith("amount = 60\nbalance = -20\n")
    assert "limit = 3\n" in bank.command("memtrace locals --frame 1")
    assert "main = <function main at 0x" in bank.command("memtrace locals --frame 2")
    assert bank.command("memtrace print balance * 2") == "-40\n"
    assert bank.command("memtrace print source.owner, target.balance, source.kind") == (
        "('Ann', 60, 'giro')\n"
    )
    assert bank.command("memtrace print --frame 1 limit") == "3\n"
    assert bank.command("memtrace print [n for n in range(3) if n > balance]") == "[0, 1, 2]\n"
    assert bank.command("python print(gdb.parse_and_eval('$_memtrace(\"amount + 1\")'))") == "61\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("memtrace print balanze", "no variable balanze in transfer\n    did you mean balance"),
        ("memtrace print", "needs an expression"),
        ("memtrace print 1 +", "1 +"),
        ("memtrace print 1 / 0", "ZeroDivisionError: division by zero"),
        ("memtrace print source.nothing", "no attribute 'nothing'"),
        ("memtrace print --frame 9 1", "no Python frame 9: there are 3"),
        ("memtrace locals --frame 9", "no Python frame 9: there are 3"),
        ("memtrace bt x", "no number of frames"),
        ("memtrace break", "which variable?"),
        ("memtrace break 1x", "no variable, FUNC:VAR or FILE:FUNC:VAR"),
        ("memtrace break x if", "`if` needs an expression"),
        ("memtrace break x if new <", "new <"),
    ],
)
def test_refusals_say_why(stopped: GdbSession, command: str, message: str) -> None:
    output = stopped.command(command)
    assert output.startswith("memtrace: ") and message in output
    assert "Traceback" not in output


@pytest.fixture(scope="module")
def stopped() -> Iterator[GdbSession]:
    with GdbSession("--args", python_program(), str(BANK)) as gdb:
        gdb.command("memtrace on")
        gdb.command("memtrace break transfer:balance if new < 0")
        gdb.command("run")
        yield gdb


def test_continue_goes_from_change_to_change(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance")
    seen = [stop_of(bank.command("run"))]
    while "exited normally" not in (output := bank.command("continue")):
        seen.append(stop_of(output))
    assert seen == [
        "NEW balance = 100",
        "MODIFIED balance: 100 → 40",
        "NEW balance = 40",
        "MODIFIED balance: 40 → -20",
        "NEW balance = -20",
        "MODIFIED balance: -20 → -80",
    ]


def test_attributes_items_and_any_function(bank: GdbSession) -> None:
    bank.command("memtrace break source.balance if new < 0")
    bank.command("memtrace break fill:flags[1]")
    bank.command("memtrace break bank.py:run_example:a")
    assert stop_of(bank.command("run")) == "MODIFIED source.balance: 40 → -20"
    assert stop_of(bank.command("continue")) == "MODIFIED source.balance: -20 → -80"
    assert stop_of(bank.command("continue")) == "NEW a = 10"
    assert stop_of(bank.command("continue")) == "DELETED a (was 10)"
    assert stop_of(bank.command("continue")) == "MODIFIED flags[1]: False → True"
    assert "exited normally" in bank.command("continue")


def test_module_s_global() -> None:
    with Target("ticks.py") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("memtrace on")
            gdb.command("memtrace break ticks:count")
            assert re.search(r", ticks.py:\d+ in <module>, ", gdb.command("continue"))
            gdb.command("delete")
            gdb.command("detach")
        assert target.finish() == "equal"


def test_temporary_breakpoint_stops_once(bank: GdbSession) -> None:
    made = bank.command("memtrace tbreak b")
    assert made.startswith("Temporary variable breakpoint 1: b (pending")
    output = bank.command("run")
    assert "Temporary variable breakpoint 1, bank.py" in output
    assert stop_of(output) == "NEW b = 15"
    assert bank.command("info breakpoints").startswith("No breakpoints")
    assert re.search(r"^Breakpoints: +0 armed$", bank.command("info memtrace"), re.M)
    assert "exited normally" in bank.command("continue")


def test_a_breakpoint_set_at_a_stop_hits(bank: GdbSession) -> None:
    bank.command("memtrace tbreak run_example:a")
    bank.command("run")
    assert bank.command("memtrace break run_example:b").startswith(
        "Variable breakpoint 2: b in run_example (pending: no variable b seen yet"
    )
    assert stop_of(bank.command("continue")) == "NEW b = 15"


def test_info_breakpoints_shows_what_is_watched(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance if new < 0")
    assert '$_memtrace_stop("balance in transfer, if new < 0")' in bank.command("info breakpoints")
    bank.command("run")
    shown = bank.command("info breakpoints")
    assert '\tstop only if $_memtrace_stop("balance in transfer, if new < 0")\n' in shown
    assert "\tbreakpoint already hit 1 time\n" in shown
    assert re.search(r"^Breakpoints: +1 armed$", bank.command("info memtrace"), re.M)


def test_disable_and_enable(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance")
    bank.command("memtrace break run_example:b")
    bank.command("run")
    bank.command("disable 1")
    assert re.search(r"^Breakpoints: +1 armed$", bank.command("info memtrace"), re.M)
    assert stop_of(bank.command("continue")) == "NEW b = 15"
    bank.command("enable 1")
    assert re.search(r"^Breakpoints: +2 armed$", bank.command("info memtrace"), re.M)
    assert stop_of(bank.command("continue")) == "MODIFIED b: 15 → 30"
    assert "exited normally" in bank.command("continue")


def test_delete(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance")
    bank.command("run")
    bank.command("delete 1")
    assert re.search(r"^Breakpoints: +0 armed$", bank.command("info memtrace"), re.M)
    assert "exited normally" in bank.command("continue")


def test_ignore_counts_only_its_own_hits(bank: GdbSession) -> None:
    bank.command("memtrace break run_example:b")
    bank.command("memtrace break transfer:balance")
    bank.command("ignore 2 4")
    assert stop_of(bank.command("run")) == "NEW balance = -20"


def test_commands_run_at_the_stop(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance if new < 0")
    bank.send("commands 1")
    bank.send("memtrace print amount, balance")
    bank.send("continue")
    bank.command("end")
    output = bank.command("run")
    assert "exited normally" in output or "exited normally" in bank.expect_prompt()
    assert re.findall(r"^\(60, (-\d+)\)$", bank.transcript(), re.M) == ["-20", "-20", "-80"]


def test_condition_of_gdb_s_is_joined(bank: GdbSession) -> None:
    bank.command("memtrace break transfer:balance")
    bank.command("run")
    bank.command('condition 1 $_memtrace("balance < -50")')
    assert stop_of(bank.command("continue")) == "MODIFIED balance: -20 → -80"
    bank.command("condition 1")
    assert '$_memtrace_stop("balance in transfer")' in bank.command("info breakpoints")
    assert "exited normally" in bank.command("continue")


def test_an_expression_that_fails_stops_and_is_shown(bank: GdbSession) -> None:
    bank.command("memtrace break run_example:b if new < nonsense")
    output = bank.command("run")
    assert stop_of(output) == "NEW b = 15"
    assert "Error in the condition: NameError" in output and "nonsense" in output


def test_two_breakpoints_at_one_change_are_both_named(bank: GdbSession) -> None:
    bank.command("memtrace break run_example:b")
    bank.command("memtrace break b if new == 15")
    bank.command("memtrace break b if new == 99")
    assert "Variable breakpoints 1, 2, bank.py:" in bank.command("run")


def test_breakpoint_survives_a_second_run(bank: GdbSession) -> None:
    bank.command("memtrace break run_example:b if new == 30")
    assert stop_of(bank.command("run")) == "MODIFIED b: 15 → 30"
    assert stop_of(bank.command("run")) == "MODIFIED b: 15 → 30"
    # gdb counts anew with every `run`.
    assert "breakpoint already hit 1 time" in bank.command("info breakpoints")


def test_unknown_function_is_pending_and_says_so(stopped: GdbSession) -> None:
    made = stopped.command("memtrace break transfr:balance")
    assert "(pending: no function transfr seen yet; seen: transfer)" in made
    assert "(pending: no variable balanze" in stopped.command("memtrace break balanze")


def test_other_breakpoints_look_as_ever(bank: GdbSession) -> None:
    bank.command("memtrace break run_example:b")
    bank.command("run")
    bank.command("tbreak getpid")
    bank.command("break exit")
    assert "Breakpoint" in bank.command("continue 2") or "exit" in bank.transcript()


def test_attached_process_stops_in_the_thread_of_the_change() -> None:
    with Target("ticks.py") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("memtrace on")
            made = gdb.command("memtrace break worker:total")
            assert made.startswith("Variable breakpoint 1: total in worker")
            output = gdb.command("continue")
            title = r"Variable breakpoint 1, ticks.py:(\d+) in worker, thread (\d+)"
            found = re.search(title, output)
            assert found and int(found.group(2)) != target.pid
            assert int(found.group(1)) == line_of("total += 1", "ticks.py")
            first = gdb.command("memtrace bt").splitlines()[0]
            assert first == f"#0  worker (ticks.py:{found.group(1)})"
            assert int(gdb.command("memtrace print total")) > 0
            gdb.command("thread 1")
            assert "<module> (ticks.py:" in gdb.command("memtrace bt")
            gdb.command("delete")
            gdb.command("detach")
        assert target.finish() == "equal"


def test_a_breakpoint_is_there_before_it_hits() -> None:
    """The process must run for a moment so that the helper can be told. A hit in that moment would
    be no stop of the `continue` that follows."""
    with Target("keeps_gil.py") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("memtrace tbreak work:count")
            said = gdb.command("memtrace on")
            assert re.fullmatch("memtrace: recording .*, 1 thread, .*\n", said), said
            # Without the GIL, a second one on a local of a loop that runs on is not hit yet.
            for number in range(1, 4 if interpreter().has_gil else 2):
                said = gdb.command("continue")
                assert f"Temporary variable breakpoint {number}, keeps_gil.py:" in said, said
                gdb.resume()
                gdb.interrupt()  # where it stands at a hit it need not run
                made = gdb.command("memtrace tbreak work:count")
                assert made == f"Temporary variable breakpoint {number + 1}: count in work\n"
            gdb.command("delete")
            gdb.command("detach")
        assert target.finish() == "right"


def test_batch_stops_and_reports() -> None:
    result = launch_batch(
        BANK,
        commands=[
            "memtrace break transfer:balance if new < 0",
            "memtrace on",
            "run",
            "memtrace bt",
        ],
    ).check()
    assert "MODIFIED balance: 40 → -20" in result.lines
    assert result.lines[-1].startswith("#2  <module> (bank.py:")
