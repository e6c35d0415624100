"""``walking-noise doctor``: whether runs can be added, started and trained here."""

from __future__ import annotations

import contextlib
import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``doctor``."""
    text = "look for what would make runs fail or be lost: database, secrets, Slurm, data, disk, GPU, versions"
    doctor = commands.add_parser("doctor", help=text, description=f"{text}. Exit code 1 if there is an error.")
    doctor.add_argument("collections", metavar="COLLECTION", nargs="*", help="look at these only; default: all")
    doctor.add_argument("--fix", action="store_true", help="make the indexes that lack")
    doctor.add_argument("--node", action="store_true", help="look only at what may differ on a compute node")
    doctor.add_argument("--json", metavar="FILE", type=Path, help="write the findings to a file, too")
    doctor.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.doctor.examination import command_for_a_node, examine, in_total, line, numbers
    from experiments.doctor.examined_site import Site
    from experiments.doctor.finding import ERROR
    from experiments.terminal.output_file import check_writable, write_whole
    from experiments.terminal.progress_line import ProgressLine

    if options.json is not None:
        check_writable(options.json)
    findings, progress = [], ProgressLine()
    show = progress.show if progress.stream.isatty() else None
    with contextlib.closing(Site(tuple(options.collections), options.fix)) as site:
        for what, finding in examine(site, node=options.node, show=show):
            progress.end()
            print(line(what, finding), flush=True)
            findings.append((what, finding))
        print(in_total(findings))
        command = None if options.node else command_for_a_node(site)
    if command is not None:
        print(f"on a compute node, where data, disk and GPU may look different: {command}")
    if options.json is not None:
        write_whole(options.json, json.dumps(numbers(findings), indent=1))
    return int(any(finding.level == ERROR for _, finding in findings))
