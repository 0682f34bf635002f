"""What is measured: one module a program, each with

    SIZE        for run(): some 10 ms untraced
    PEER_SIZE   the same for tracers that cost a thousand times as much
    ONE         the function that `--only` names in the mode "one function"
    run(size)   does the work and returns a checksum, the same in every run

They are ordinary code for Python 3.8 and later, in the style of the pyperformance set, and
depend on the standard library only, except where NEEDS names a package of PyPI."""

NAMES = (
    "loops",
    "scheduler",
    "bodies",
    "spectral",
    "queens",
    "pipeline",
    "coroutines",
    "exceptions",
    "words",
    "cells",
    "text",
    "parser",
    "rays",
    "paths",
    "digits",
    "closures",
    "records",
    "workers",
    "web",
)
