"""Grid file of a second stage, from the plans of :mod:`analysis.midpoints.refine`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis.midpoints.refine import Refinement
from analysis.runs.run_settings import CURVE_LEVELS
from experiments.database.connection import Document, open_runs
from experiments.errors import UserError

Section = dict[str, Any]


def grid_text(plans: Sequence[Refinement], document: Mapping[str, Any], heading: Sequence[str], folder: Path) -> str:
    """The grid as text that SEML reads: two sub-configurations per series, for its new and for its kept levels.

    Parameters
    ----------
    plans
        Second stages with new runs.
    document
        A run of the first stage. Executable, folders and Slurm options are those of this run.
    heading
        Lines of the comment at the top.
    folder
        The folder of the file, to which SEML relates the folder of the project.
    """
    settings = [_settings(plan) for plan in plans]
    common = {name: value for name, value in settings[0].items() if all(each[name] == value for each in settings)}
    content: Section = {"fixed": common}
    for number, (plan, each) in enumerate(zip(plans, settings, strict=True), start=1):
        own = {name: value for name, value in each.items() if name not in common}
        for name, (seeds, levels) in _stages(plan).items():
            if seeds and levels:
                grid = {_level(plan): _choice(levels), "seed": _choice(seeds)}
                content[f"series_{number}_{name}"] = {"fixed": dict(own), "grid": grid}
    return grid_of(content, document, heading, folder)


def grid_of(sections: Section, document: Mapping[str, Any], heading: Sequence[str], folder: Path) -> str:
    """A grid with these sections as text that SEML reads; the other parameters are those of :func:`grid_text`."""
    seml = document["seml"]
    content: Section = {
        "seml": {
            "executable": seml["executable"],
            "project_root_dir": os.path.relpath(seml["working_dir"], folder.resolve()),
            **{name: seml[name] for name in ("output_dir", "conda_environment") if seml.get(name)},
        },
        "slurm": document.get("slurm", []),
    }
    content |= sections
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100_000)
    return "".join(f"# {line}\n" for line in heading) + "\n" + text


def latest_run(collection: str) -> Document:
    """The run that was added last, with the fields of SEML that a further grid needs; empty without runs."""
    fields = {f"seml.{name}": True for name in ("executable", "working_dir", "output_dir", "conda_environment")}
    with open_runs(collection) as runs:
        return runs.find_one({}, {**fields, "slurm": True}, sort=[("_id", -1)]) or {}


def _stages(plan: Refinement) -> dict[str, tuple[list[int], tuple[float, ...]]]:
    """Seeds and levels of the new levels, which all seeds run, and of the kept levels, which the new seeds run."""
    new = new_seeds(plan)
    return {"new_levels": (sorted({*_present(plan), *new}), plan.new_levels), "kept_levels": (new, plan.kept_levels)}


def _present(plan: Refinement) -> set[int]:
    return {int(seed) for seed in plan.series.series.runs["seed"]}


def new_seeds(plan: Refinement) -> list[int]:
    """Seeds that the second stage adds to a series: the smallest ones that it does not have."""
    present = _present(plan)
    count = max(0, plan.seeds - len(plan.series.fit.repetitions.logs)) if plan.kept_levels else 0
    return [seed for seed in range(len(present) + count) if seed not in present][:count]


def new_runs(plan: Refinement) -> int:
    """Number of runs that the second stage adds to a series."""
    return sum(len(seeds) * len(levels) for seeds, levels in _stages(plan).values())


def _settings(plan: Refinement) -> Section:
    """All settings that the runs share, without the level."""
    settings = {**plan.series.settings, "noise.seed": _noise_seed(plan)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
        if name not in CURVE_LEVELS
    }


def _level(plan: Refinement) -> str:
    return "noise.std" if bool(plan.series.series.runs["noise.amplitude"].isna().all()) else "noise.amplitude"


def _noise_seed(plan: Refinement) -> int | None:
    seeds = plan.series.series.runs["noise.seed"].dropna().unique()
    if len(seeds) > 1:
        raise UserError("noise.seed differs between the runs of a series, so that new seeds have no value for it")
    return int(seeds[0]) if len(seeds) else None


def _choice(options: Sequence[float]) -> Section:
    return {"type": "choice", "options": list(options)}
