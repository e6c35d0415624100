"""``walking-noise doctor``: checks that runs can be added, started and trained on this site."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import Annotated

import typer

from experiments.cli.parameters import JsonFile


def doctor(
    collections: Annotated[
        list[str] | None, typer.Argument(metavar="COLLECTION", help="collections to check; default: all")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="create missing indexes")] = False,
    node: Annotated[
        bool, typer.Option("--node", help="only run the checks whose result may differ on a compute node")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Check for problems that make runs fail or lose work: database, secrets, Slurm, data, disk, GPU, versions.

    The exit code is 1 if there is an error. A machine that belongs to no Slurm
    cluster has none for that reason: `start --local` trains on it. Slurm that
    is partly installed, or configured but silent, is an error.

    Example: walking-noise doctor table1_mnist
    """
    from experiments.doctor.examination import report
    from experiments.doctor.examined_site import Site
    from experiments.doctor.finding import ERROR, Finding
    from experiments.terminal.output_file import write_whole

    findings: list[tuple[str, Finding]] = []
    with contextlib.closing(Site(tuple(collections or ()), fix)) as site:
        for line in report(site, findings, node=node):
            print(line, flush=True)
    if json_file is not None:
        write_whole(json_file, json.dumps([{"what": name, **asdict(finding)} for name, finding in findings], indent=1))
    if any(finding.level == ERROR for _, finding in findings):
        raise typer.Exit(1)
