"""Accounting of all runs: states, causes of missing results, and provenance of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.labels import cell_text, format_number
from analysis.midpoints.study import Study
from analysis.runs.run_frame import PROVENANCE, STATE_NAMES
from analysis.tables.table_files import Table, save_table

_EXAMPLES = 5
_SHORT = 12


def make_runs(study: Study, folder: Path) -> Sequence[Table]:
    """Write two tables: the runs of each collection by state, and the causes of failures and refused settings."""
    states, causes = state_counts(study.runs), failure_causes(study.runs)
    examples = f"The ids of the first {_EXAMPLES} runs of each cause are listed."
    caption = examples if len(causes) else "No run failed, and no run has refused settings."
    title = "Failed runs and runs with refused settings, by cause"
    return [
        save_table(states, states.map(str), folder, "runs", "Runs by state", "All runs of all collections."),
        save_table(causes, causes.map(str), folder, "causes", title, caption),
    ]


def make_provenance(study: Study, folder: Path) -> Sequence[Table]:
    """Write a table of the code, the data and the devices that produced the results."""
    provenance = provenance_counts(study.runs)
    if provenance.empty:
        return []
    texts = provenance.assign(
        commit=_shortened(provenance["commit"]),
        data_checksum=_shortened(provenance["data_checksum"]),
        hours=[format_number(hours) for hours in provenance["hours"]],
        **{"data.name": [cell_text("data.name", name) for name in provenance["data.name"]]},
    ).rename(columns={"data.name": "data set", "data_checksum": "data checksum"})
    caption = "Hours: sum of the runs' shares of the time of their packs."
    return [save_table(provenance, texts.map(str), folder, "provenance", "Code, data and devices", caption)]


def _shortened(hashes: pd.Series[str]) -> pd.Series[str]:
    """First digits of hashes; the mark of changed code after a commit is kept."""
    return hashes.str.replace(rf"^(\w{{{_SHORT}}})\w+", r"\1", regex=True)


def state_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Numbers of runs in each collection: planned, in each state, and diverged or overflowed among the completed ones.

    ``repeated`` is the number of runs that are equal to another run of their collection.
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


def failure_causes(runs: pd.DataFrame) -> pd.DataFrame:
    """Causes of failures and refused settings: a row per collection, status and cause, with number and first ids."""
    without_result = runs[runs["cause"].notna()]
    table = [
        {
            "collection": collection, "status": status, "cause": cause, "runs": len(group),
            "ids": ", ".join(map(str, group["id"][:_EXAMPLES])) + (", …" if len(group) > _EXAMPLES else ""),
        }
        for (collection, status, cause), group in without_result.groupby(["collection", "status", "cause"], sort=True)
    ]  # fmt: skip
    columns = ["collection", "status", "cause", "runs", "ids"]
    return pd.DataFrame(table, columns=columns).sort_values(
        ["collection", "runs"], ascending=[True, False], kind="stable", ignore_index=True
    )


def provenance_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Provenance of the results: a row per data set, versions and device, with the number of runs and their hours."""
    completed = runs[runs["state"] == "completed"].fillna(dict.fromkeys(("data.name", *PROVENANCE), "none"))
    grouped = completed.groupby(["data.name", *PROVENANCE], sort=True, dropna=False)
    return grouped.agg(runs=("id", "size"), hours=("seconds", lambda seconds: seconds.sum() / 3600)).reset_index()
