"""The page ``reproduction.md``: published numbers beside ours, from the runs in ``analysis/reproduction``.

    python docs/reproduction_page.py

The costs of what was not run follow from ``throughput.json`` there, which ``walking-noise bench --save --file`` wrote.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from analysis import published_results
from analysis.figures import executions
from analysis.figures.training import distillation
from analysis.labels import format_estimate
from analysis.midpoints.study import FittedSeries, Study, analyse
from analysis.paper import ledger, table1
from analysis.processes import usable_cores
from analysis.runs import documents
from analysis.runs.reading import read
from analysis.tables.series_tables import runs_used
from analysis.tables.table_files import Table
from experiments.plan import throughput
from experiments.plan.demand import demands
from experiments.plan.grid_files import expand
from experiments.plan.run_counts import PlannedRun
from walking_noise import RunConfig

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "analysis" / "reproduction"
INTRODUCTION = """\
# Reproduction

Published numbers beside ours. This page is generated from the runs in `analysis/reproduction/`, which come with the
source code, by `python docs/reproduction_page.py`; the folder's `README.md` says what each file holds. Anyone makes the
full report from them, without a database and without a training:

<!-- not run: takes minutes -->
```bash
python -m analysis.report --out report \\
    {files}
```

"""
CASES = "claims_cases"
"""Table of the report that is too long for a page."""
NETWORKS = "networks"
"""Column of tables that compare within several networks."""
TABLE1 = """\
## Table I: midpoints under global noise

μ as in the paper: networks trained with noise at all points but those after BatchNorm. *Printed* has no error in the
paper. *Ours* is the geometric mean over the repetitions with its 95 % interval; a single repetition has none. The
cost of an open cell is in hours of {device}, for all levels and repetitions of the grid.

"""
AT_INFERENCE = """
## Midpoints at inference only

Additive noise at one noise point, or at all but those after BatchNorm (global), of networks that are trained without
noise for the paper's epochs: the first series of figures 2, 10 and 11, which print no numbers. Geometric means over the
repetitions, with their 95 % intervals.

"""


def main(page: Path = ROOT / "docs" / "reproduction.md") -> int:
    """Write the page."""
    files = sorted(RUNS.glob("*.jsonl.gz"))
    runs, checksum = read(documents.from_files(files), usable_cores())
    study = replace(analyse(runs, usable_cores()), checksum=checksum)
    page.write_text("".join(parts(study, files)))
    return 0


def parts(study: Study, files: Sequence[Path]) -> Iterator[str]:
    """The parts of the page."""
    device = throughput.known(RUNS / "throughput.json")[0]
    yield INTRODUCTION.format(files=" \\\n    ".join(f"--from {file.relative_to(ROOT)}" for file in files))
    yield TABLE1.format(device=device.name)
    yield markdown(table1_rows(study, device))
    yield AT_INFERENCE
    for (data, model), rows in at_inference(study).groupby(["data", "network"], sort=False):
        wide = rows.pivot_table("mu", "point", "BatchNorm", aggfunc="first", sort=False, fill_value="")
        yield f"### {data}, {model}\n\n{markdown(wide[wide.columns[::-1]].reset_index())}\n"
    with tempfile.TemporaryDirectory() as folder:
        items = (ledger.make, distillation.make, executions.make)
        tables = [part for make in items for part in make(study, Path(folder)) if isinstance(part, Table)]
    for table in (one for one in tables if one.name != CASES):
        yield "\n\n".join(["", f"## {table.title}", *filter(None, [table.caption]), *sections(table.texts)])


def table1_rows(study: Study, device: throughput.Device) -> pd.DataFrame:
    """A row for each cell of Table I: the printed value, and ours or the cost of the runs that are missing."""
    found_series = [each for each in table1.table1_series(study.fitted_series) if each.fit.repetitions.logs]
    as_published = [each for each in found_series if published_results.published_midpoint(each.settings) is not None]
    series = {cell(each.settings): each for each in [*found_series, *as_published]}  # the latter replace others
    rows = []
    for (data, model), printed in published_results.MIDPOINTS.items():
        columns = [(kind, norm) for kind in published_results.KINDS for norm in (False, True)]
        for (kind, norm), value in zip(columns, printed, strict=True):
            found = series.get((data, model, kind, norm))
            rows.append({
                "data": data, "network": model, "BatchNorm": "yes" if norm else "no", "noise": kind,
                "printed": f"{value:g}", **(ours(found) if found else not_run(data, model, kind, device, norm=norm)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def cell(settings: Mapping[str, object]) -> tuple[object, ...]:
    """The cell of Table I to which settings belong."""
    return tuple(settings[name] for name in ("data.name", "model.name", "noise.kind", "model.batch_norm"))


def at_inference(study: Study) -> pd.DataFrame:
    """A row for each series with additive noise at inference only, of networks trained for the paper's epochs."""
    rows = []
    for each in study.fitted_series:
        settings, number = each.settings, each.settings["noise.point"]
        others = set(published_results.settings_unlike_table1(settings))
        if isinstance(number, int):
            others.discard("noise.on_batch_norm")  # without effect at a single point
        epochs = published_results.EPOCHS.get((settings["data.name"], settings["model.name"]))
        as_published = epochs == settings["training.epochs"] and not others and each.fit.repetitions.logs
        if as_published and settings["noise.kind"] == "additive" and not settings["noise.in_training"]:
            rows.append({
                "data": settings["data.name"], "network": settings["model.name"],
                "BatchNorm": f"{'with' if settings['model.batch_norm'] else 'without'} BatchNorm",
                "point": each.series.points[number].name if isinstance(number, int) else number,
                "mu": format_estimate(each.fit.mu),
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=["data", "network", "BatchNorm", "point", "mu"])
    return table.sort_values("BatchNorm", kind="stable")  # those with BatchNorm first, since they have all points


def ours(found: FittedSeries) -> dict[str, str]:
    """Our midpoint with its interval, and the runs behind it; their epochs if they are not the paper's."""
    repetitions = len(found.fit.repetitions.logs)
    printed = published_results.published_midpoint(found.settings)
    epochs = "" if printed is not None else f", {found.settings['training.epochs']} epochs"
    return {
        "ours": format_estimate(found.fit.mu),
        "runs": f"{runs_used(found.series.counts)}, {repetitions} repetition{'s' * (repetitions > 1)}{epochs}",
    }


def not_run(data: str, model: str, kind: str, device: throughput.Device, *, norm: bool) -> dict[str, str]:
    """The runs of an open cell, the hours that they need, and the grid that has them."""
    configs = [one for one in grid(data) if cell(one.to_flat()) == (data, model, kind, norm)]
    needed = demands(map(PlannedRun.of, configs), {one.pack_key: one for one in configs})
    seconds = [one.seconds(device) for one in needed]
    known = sum(one for one in seconds if one is not None)
    hours = "?" if None in seconds else f"{known / 3600:,.1f}"
    return {"ours": "open", "runs": f"{len(configs)}, {hours} hours, `seml_configs/table1/{data}.yaml`"}


@cache
def grid(data: str) -> list[RunConfig]:
    """The runs of the grid of Table I for a data set."""
    return [RunConfig.from_document(each) for each in expand(ROOT / "seml_configs" / "table1" / f"{data}.yaml")]


def sections(table: pd.DataFrame) -> Iterator[str]:
    """A table in Markdown; with several networks one for each, whose title leaves out what the names have in common."""
    if NETWORKS not in table:
        yield markdown(table)
        return
    names = {name: name.split(", ") for name in dict.fromkeys(table[NETWORKS])}
    common = [part for part in next(iter(names.values())) if all(part in parts for parts in names.values())]
    if len(names) > 1 and common:
        yield f"All: {', '.join(common)}."
    for name, parts in names.items():
        title = ", ".join(part for part in parts if part not in common) or name
        yield f"### {title}\n\n{markdown(table[table[NETWORKS] == name].drop(columns=NETWORKS))}"


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    cells = [
        [str(name) for name in table.columns],
        ["---"] * len(table.columns),
        *table.astype(str).to_numpy().tolist(),
    ]
    return "".join(f"| {' | '.join(one.replace('|', '&#124;') for one in row)} |\n" for row in cells)


if __name__ == "__main__":
    sys.exit(main())
