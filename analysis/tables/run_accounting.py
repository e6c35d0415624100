"""Every run is accounted for: its state, why it has no result, and what made it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.labels import cell, number
from analysis.midpoints.study import Study
from analysis.runs.run_frame import PROVENANCE, STATE_NAMES
from analysis.tables.table_files import Table, save_table

_EXAMPLES = 5
_SHORT = 12


def make_runs(study: Study, folder: Path) -> Sequence[Table]:
    """Two tables: the runs of every collection by their state, and why some have no result."""
    counted, lost = counts(study.runs), causes(study.runs)
    states = save_table(counted, counted.map(str), folder, "runs", "Runs by state", "Every run of every collection.")
    first = f"With the ids of the first {_EXAMPLES} of them."
    caption = first if len(lost) else "No run failed, and none has settings that are refused."
    return [states, save_table(lost, lost.map(str), folder, "causes", "Runs without a result, by cause", caption)]


def make_provenance(study: Study, folder: Path) -> Sequence[Table]:
    """A table of the code, the data and the devices that made the results."""
    made = provenance(study.runs)
    if made.empty:
        return []
    words = made.assign(
        commit=_shortened(made["commit"]),
        data_checksum=_shortened(made["data_checksum"]),
        hours=[number(hours) for hours in made["hours"]],
        **{"data.name": [cell("data.name", name) for name in made["data.name"]]},
    ).rename(columns={"data.name": "data set", "data_checksum": "data checksum"})
    caption = "Hours are the runs' shares of the time of their packs."
    return [save_table(made, words.map(str), folder, "provenance", "Code, data and devices", caption)]


def _shortened(hashes: pd.Series[str]) -> pd.Series[str]:
    """The first digits of hashes, and the mark of changed code behind a commit."""
    return hashes.str.replace(rf"^(\w{{{_SHORT}}})\w+", r"\1", regex=True)


def counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Count the runs of each collection: planned, in each state, and diverged or overflowed of the completed ones.

    ``repeated`` is the number of runs that do the same as another one of their collection.
    """
    table = []
    for name, group in runs.groupby("collection", sort=True):
        completed = group[group["state"] == "completed"]
        known = group["run_key"].dropna()
        table.append(
            {"collection": name, "planned": len(group)}
            | {state: int((group["state"] == state).sum()) for state in STATE_NAMES}
            | {outcome: int((completed["outcome"] == outcome).sum()) for outcome in ("diverged", "overflow")}
            | {"repeated": len(known) - known.nunique()}
        )
    return pd.DataFrame(table)


def causes(runs: pd.DataFrame) -> pd.DataFrame:
    """Why runs have no result: a row per collection, status and cause, with the number of runs and their first ids."""
    lost = runs[runs["cause"].notna()]
    table = [
        {
            "collection": collection, "status": status, "cause": cause, "runs": len(group),
            "ids": ", ".join(map(str, group["id"][:_EXAMPLES])) + (", …" if len(group) > _EXAMPLES else ""),
        }
        for (collection, status, cause), group in lost.groupby(["collection", "status", "cause"], sort=True)
    ]  # fmt: skip
    columns = ["collection", "status", "cause", "runs", "ids"]
    return pd.DataFrame(table, columns=columns).sort_values(
        ["collection", "runs"], ascending=[True, False], kind="stable", ignore_index=True
    )


def provenance(runs: pd.DataFrame) -> pd.DataFrame:
    """What made the results: a row per data set, versions and device, with the number of runs and their hours."""
    made = runs[runs["state"] == "completed"].fillna(dict.fromkeys(("data.name", *PROVENANCE), "none"))
    grouped = made.groupby(["data.name", *PROVENANCE], sort=True, dropna=False)
    return grouped.agg(runs=("id", "size"), hours=("seconds", lambda seconds: seconds.sum() / 3600)).reset_index()
