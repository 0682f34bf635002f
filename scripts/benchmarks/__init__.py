"""What scripts/bench runs: memtrace measured beside an untraced run, the floors and its peers.

Two kinds of processes. The parent (__main__ and what it imports: interpreters, peers, jobs,
results, report, chart, figures, attached) runs under the distribution's Python. A child
(child and what it imports: observers, helper, timing, growth, codes, programs) runs one job
under the interpreter that is measured, with the standard library only, CPython 3.8 and later."""
