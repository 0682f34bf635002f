"""Paths, and where the build is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "shared"), str(TESTS.parent / "gdbplugin")]

if "MEMTRACE_BUILD" in os.environ:
    os.environ.setdefault("MEMTRACE_LIB", str(Path(os.environ["MEMTRACE_BUILD"], "lib").resolve()))
