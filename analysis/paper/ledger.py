"""The ledger: every claim of the papers with its statistic and its verdict from the runs at hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.labels import differing_settings, format_interval, format_number, label
from analysis.midpoints.study import Study
from analysis.paper.claims import CLAIMS, RULE, Case, Claim, Verdict
from analysis.paper.planned_grids import planned_grids_sentence
from analysis.runs.run_frame import rows
from analysis.tables.table_files import Table, save_table

Entry = tuple[Claim, list[Case]]

_PLURAL = {Verdict.HOLDS: "hold", Verdict.FAILS: "fail", Verdict.NOT_MEASURED: "not measured"}

_NAMED = ("data.name", "model.name", "model.batch_norm", "noise.kind", "training.epochs")


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Two tables: a row per claim, and a row per claim and case."""
    entries = [(each, list(each.cases(study))) for each in CLAIMS]
    caption = f"{RULE} Of several cases the one closest to the border is shown. {_tally(entries)}"
    made = [save_table(numbers(entries), in_words(entries), folder, "claims", "Claims and verdicts", caption)]
    every = numbers_of_cases(entries)
    if len(every):
        caption = "The mean of the statistic over the repetitions, and its 95 % t interval."
        words = cases_in_words(every)
        made.append(save_table(every, words, folder, "claims_cases", "Claims, case by case", caption))
    return made


def numbers(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row per claim.

    Columns: ``claim``, ``source``, ``statistic``, ``above`` and ``below`` (the region in which the claim is true),
    ``verdict``, and the number of cases that say ``holds``, ``fails`` and ``not measured``.
    """
    return pd.DataFrame([
        {
            "claim": each.text, "source": each.source, "statistic": each.statistic, "above": each.region[0],
            "below": each.region[1], "verdict": str(each.overall(cases)),
            **{str(verdict): sum(each.verdict(case) == verdict for case in cases) for verdict in Verdict},
        }
        for each, cases in entries
    ])  # fmt: skip


def numbers_of_cases(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row per claim and case.

    Columns: ``claim``, ``case`` in words, ``estimate`` with ``low`` and ``high``, ``repetitions``, runs ``used`` of
    those ``planned``, ``verdict`` and ``note``.
    """
    names = _names(entries)
    return pd.DataFrame([_row(each, case, names) for each, cases in entries for case in cases])


def in_words(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row per claim, as a reader sees it."""
    names = _names(entries)
    return pd.DataFrame([
        {
            "claim": each.text, "source": each.source, "verdict": str(each.overall(cases)),
            "holds where": each.criterion, "found": _found(each, cases, names), "cases": _counted(each, cases),
        }
        for each, cases in entries
    ])  # fmt: skip


def cases_in_words(every: pd.DataFrame) -> pd.DataFrame:
    """The same as a reader sees it."""
    found = [f"{format_number(row['estimate'])} {format_interval(row['low'], row['high'])}" for row in rows(every)]
    runs = [f"{row['used']} of {row['planned']}" for row in rows(every)]
    kept = every[["claim", "case", "repetitions", "verdict", "note"]].astype(str)
    return kept.assign(statistic=found, runs=runs)[
        ["claim", "case", "statistic", "repetitions", "runs", "verdict", "note"]
    ]


def _row(each: Claim, case: Case, names: Sequence[str]) -> dict[str, Any]:
    estimate, low, high = case.interval
    return {
        "claim": each.text, "case": label(case.settings, names), "estimate": estimate, "low": low, "high": high,
        "repetitions": len(case.values), "used": case.used, "planned": case.planned,
        "verdict": str(each.verdict(case)), "note": _why_not(each, case),
    }  # fmt: skip


def _names(entries: Sequence[Entry]) -> list[str]:
    """The settings by which cases are named: those that always are, and those in which cases of a claim differ."""
    differing: list[str] = []
    for _, cases in entries:
        if cases:
            differing += differing_settings([case.settings for case in cases])
    return list(dict.fromkeys([*_NAMED, *differing]))


def _found(each: Claim, cases: Sequence[Case], names: Sequence[str]) -> str:
    shown = each.deciding(cases)
    if shown is None:
        reasons = "".join(f"; {label(case.settings, names)}: {_why_not(each, case)}" for case in cases)
        return f"needs {each.needs}{reasons}. {planned_grids_sentence(each.grids)}"
    estimate, low, high = shown.interval
    where, runs = label(shown.settings, names), f"runs {shown.used} of {shown.planned}"
    words = f"{format_number(estimate)} {format_interval(low, high)}, {where}, n = {len(shown.values)}, {runs}"
    note = _why_not(each, shown)
    return f"{words} ({note})" if note else words


def _why_not(each: Claim, case: Case) -> str:
    """The note of a case, and why it decides nothing if it does not."""
    why = ""
    if each.verdict(case) == Verdict.NOT_MEASURED:
        few = f"repetitions that have all of its runs: {len(case.values)}"
        why = "the interval includes the border" if math.isfinite(case.interval[1]) else few
    return "; ".join(text for text in (why, case.note) if text)


def _counted(each: Claim, cases: Sequence[Case]) -> str:
    found = Counter(each.verdict(case) for case in cases)
    return ", ".join(_number_of(found, verdict) for verdict in Verdict if found[verdict]) or "none"


def _tally(entries: Sequence[Entry]) -> str:
    found = Counter(each.overall(cases) for each, cases in entries)
    return f"Of {len(entries)} claims: {', '.join(_number_of(found, verdict) for verdict in Verdict)}."


def _number_of(found: Counter[Verdict], verdict: Verdict) -> str:
    return f"{found[verdict]} {verdict if found[verdict] == 1 else _PLURAL[verdict]}"
