"""``walking-noise doctor``: checks that runs can be added, started and trained on this site."""

from __future__ import annotations

import contextlib
import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``doctor``."""
    text = "Check for problems that make runs fail or lose work: database, secrets, Slurm, data, disk, GPU, versions."
    doctor = commands.add_parser("doctor", help=text, description=f"{text} The exit code is 1 if there is an error.")
    doctor.add_argument("collections", metavar="COLLECTION", nargs="*", help="collections to check; default: all")
    doctor.add_argument("--fix", action="store_true", help="create missing indexes")
    doctor.add_argument(
        "--node", action="store_true", help="only run the checks whose result may differ on a compute node"
    )
    doctor.add_argument("--json", metavar="FILE", type=Path, help="also write the findings to this file")
    doctor.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.doctor.examination import numbers, report
    from experiments.doctor.examined_site import Site
    from experiments.doctor.finding import ERROR, Finding
    from experiments.terminal.output_file import check_writable, write_whole
    from experiments.terminal.progress_line import ProgressLine

    if options.json is not None:
        check_writable(options.json)
    findings: list[tuple[str, Finding]] = []
    progress = ProgressLine()
    show = progress.show if progress.stream.isatty() else None
    with contextlib.closing(Site(tuple(options.collections), options.fix)) as site:
        for line in report(site, findings, node=options.node, show=show):
            progress.end()
            print(line, flush=True)
    if options.json is not None:
        write_whole(options.json, json.dumps(numbers(findings), indent=1))
    return int(any(finding.level == ERROR for _, finding in findings))
