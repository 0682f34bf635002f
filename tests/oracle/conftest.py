"""Lets the tests import the modules beside them, and says why they can't run where they can't."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "gdbplugin")]
ORACLE_VERSIONS = {(3, 11)}

collect_ignore: list[str] = ["programs"]
if sys.version_info[:2] not in ORACLE_VERSIONS:
    collect_ignore += ["test_oracle.py", "test_undisturbed.py"]


def pytest_report_header(config: pytest.Config) -> str | None:
    if sys.version_info[:2] in ORACLE_VERSIONS:
        return None
    return (f"tests/oracle: not run, its oracle knows the frames of CPython 3.11 and not of "
            f"{sys.version_info[0]}.{sys.version_info[1]}")
