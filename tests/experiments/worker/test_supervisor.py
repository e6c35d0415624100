from __future__ import annotations

import os
import signal
import subprocess
import sys

from experiments.worker.supervisor import Stop
from tests.experiments.shell import ROOT


def test_the_first_signal_counts():
    stop = Stop()
    assert (stop.requested, stop.exit_code) == (False, 0)
    stop.note(signal.SIGTERM)
    stop.note(signal.SIGINT)
    assert (stop.requested, stop.exit_code, stop.reason) == (True, 143, "SIGTERM")


def test_the_end_of_the_parent_counts_as_a_signal():
    assert not Stop(parent=os.getppid()).requested
    assert Stop(parent=-1).requested


def test_before_the_child_starts_only_the_standard_library_is_loaded():
    script = """
import sys
before = set(sys.modules)
import experiments.worker.supervisor
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names))
"""
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["experiments"]
