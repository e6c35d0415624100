"""Time and memory of ``python -m analysis.report`` for a simulated study of 198,000 runs: ``make bench``.

The stages are timed in the command itself. CPU time includes that of processes that a stage has started. Memory is the
peak of all processes of the command together: the sum of their proportional set sizes, which count shared pages once.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from analysis.report import __main__ as report
from analysis.report import page
from tests.benchmarks import large_study

STAGES = {
    "reading": (report, "read"), "fits": (report, "analyse"), "figures, tables": (report, "make_all"),
    "page": (page, "render"),
}  # fmt: skip
"""Stage of the report -> module and name of the function that does it."""

SECONDS_BETWEEN_SAMPLES = 0.25


def test_report_of_a_large_study(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs.jsonl.gz", tmp_path / "report"
    large_study.main([str(runs)])
    command = [sys.executable, "-m", "tests.benchmarks.bench_report", "--from", str(runs), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_memory, _processes(process.pid))))
            time.sleep(SECONDS_BETWEEN_SAMPLES)
        assert process.returncode == 0
        assert process.stdout is not None
        rows = json.loads(process.stdout.read().splitlines()[-1])
    print("\n\nstage              wall     CPU")
    for stage, (wall, cpu) in rows.items():
        print(f"{stage:15} {wall:5.0f} s {cpu:5.0f} s")
    print(f"\npeak memory {peak / 2**20:.0f} MiB, page {(out / 'index.html').stat().st_size / 2**20:.1f} MiB")


def main() -> None:
    """Make a report with the arguments of the command, and print the wall and CPU seconds of its stages as JSON."""
    rows: dict[str, tuple[float, float]] = {}
    for stage, (module, name) in STAGES.items():
        setattr(module, name, _timed(getattr(module, name), stage, rows))
    code = _timed(report.main, "whole command", rows)(sys.argv[1:])
    print(json.dumps(rows))
    sys.exit(code)


def _timed(function: Callable[..., Any], stage: str, rows: dict[str, tuple[float, float]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        wall, cpu = time.monotonic(), sum(os.times()[:4])
        result = function(*arguments, **options)
        rows[stage] = time.monotonic() - wall, sum(os.times()[:4]) - cpu
        return result

    return timed


def _processes(session: int) -> Iterator[int]:
    """Ids of the processes of a session."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(path.name)) == session:
                yield int(path.name)


def _memory(process: int) -> int:
    """Proportional set size of a process in bytes; 0 after its end."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
