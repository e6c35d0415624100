"""Ledger of the papers' claims: statistic and verdict of every claim, from the runs of a study."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.labels import differing_settings, format_interval, format_number, label
from analysis.midpoints.study import Study
from analysis.paper.claims import CLAIMS, RULE, Case, Claim, Verdict
from analysis.paper.planned_grids import planned_grids_sentence
from analysis.published_results import ALL_DATA_SETS, NETWORKS
from analysis.runs.run_frame import rows
from analysis.runs.series import Settings
from analysis.tables.table_files import Table, save_table

Entry = tuple[Claim, list[Case]]

NEEDS = "runs of MLP, LeNet-5 or CNN-S on a data set of the papers; their claims apply to no other network"
"""Text of the runs that the ledger needs."""

_PLURAL = {Verdict.HOLDS: "hold", Verdict.FAILS: "fail", Verdict.NOT_MEASURED: "not measured"}

_NAMED = ("data.name", "model.name", "model.batch_norm", "noise.kind", "training.epochs")

_WIDTHS = (0.22, 0.13, 0.1, 0.22, 0.2, 0.13)
_CASE_WIDTHS = (0.22, 0.23, 0.15, 0.12, 0.08, 0.1, 0.1)
"""Widths of the columns in LaTeX, as shares of the width of the text."""


def make(study: Study, folder: Path) -> Sequence[Table]:
    """Write two tables: a row per claim, and a row per claim and case. Claims without a verdict have a folded table.

    The claims speak of the networks and data sets of the papers; a study without any of these has no table.
    """
    settings = [each.settings for each in study.fitted_series] + [each.settings for each in study.series_without_curve]
    if settings and not any(map(_of_the_papers, settings)):
        return []
    study = replace(study, fitted_series=[each for each in study.fitted_series if _of_the_papers(each.settings)])
    entries = [(each, list(each.cases(study))) for each in CLAIMS]
    nearest = "Column result: among the cases with the verdict of the claim, the one closest to the border."
    caption = f"{RULE} {nearest} {_overall_counts(entries)}"
    measured, others = _by_verdict(entries)
    texts = claim_texts([*measured, *others])
    table = save_table(claim_numbers(entries), texts, folder, "claims", "Claims and verdicts", caption, widths=_WIDTHS)
    tables = [replace(table, texts=texts[: len(measured)])]
    if others:
        unmeasured = texts[len(measured) :][["claim", "source", "result"]].rename(columns={"result": "needs"})
        title = "Claims that are not measured yet"
        tables.append(replace(table, title=title, caption="", texts=unmeasured, folded=True))
    every = case_numbers(entries)
    if len(every):
        caption = "Statistic: mean over the repetitions and its 95 % t interval."
        texts = case_texts(every)
        title = "Claims, case by case"
        tables.append(save_table(every, texts, folder, "claims_cases", title, caption, widths=_CASE_WIDTHS))
    return tables


def _of_the_papers(settings: Settings) -> bool:
    return settings["model.name"] in NETWORKS and settings["data.name"] in ALL_DATA_SETS


def _by_verdict(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Claims with a verdict, and those that are not measured."""
    unmeasured = [claim.overall(cases) == Verdict.NOT_MEASURED for claim, cases in entries]
    pairs = list(zip(entries, unmeasured, strict=True))
    return [each for each, without in pairs if not without], [each for each, without in pairs if without]


def claim_numbers(entries: Sequence[Entry]) -> pd.DataFrame:
    """Numbers of the table of claims: a row per claim.

    Columns: ``claim``, ``source``, ``statistic``, ``above`` and ``below`` (bounds of the region in which the claim is
    true), ``verdict``, and the number of cases with each verdict: ``holds``, ``fails`` and ``not measured``.
    """
    return pd.DataFrame([
        {
            "claim": each.text, "source": each.source, "statistic": each.statistic, "above": each.region[0],
            "below": each.region[1], "verdict": str(each.overall(cases)),
            **{str(verdict): sum(each.verdict(case) == verdict for case in cases) for verdict in Verdict},
        }
        for each, cases in entries
    ])  # fmt: skip


def case_numbers(entries: Sequence[Entry]) -> pd.DataFrame:
    """Numbers of the table of cases: a row per claim and case.

    Columns: ``claim``, ``case`` as text, ``estimate`` with ``low`` and ``high``, ``repetitions``, runs ``used`` of
    those ``planned``, ``verdict`` and ``note``.
    """
    names = _names(entries)
    return pd.DataFrame([_row(each, case, names) for each, cases in entries for case in cases])


def claim_texts(entries: Sequence[Entry]) -> pd.DataFrame:
    """Texts of the table of claims."""
    names = _names(entries)
    return pd.DataFrame([
        {
            "claim": each.text, "source": each.source, "verdict": str(each.overall(cases)),
            "holds where": each.criterion, "result": _result(each, cases, names),
            "cases": _verdict_counts(each, cases),
        }
        for each, cases in entries
    ])  # fmt: skip


def case_texts(every: pd.DataFrame) -> pd.DataFrame:
    """Texts of the table of cases."""
    statistics = [f"{format_number(row['estimate'])} {format_interval(row['low'], row['high'])}" for row in rows(every)]
    runs = [f"{row['used']} of {row['planned']}" for row in rows(every)]
    unchanged = every[["claim", "case", "repetitions", "verdict", "note"]].astype(str)
    return unchanged.assign(statistic=statistics, runs=runs)[
        ["claim", "case", "statistic", "repetitions", "runs", "verdict", "note"]
    ]


def _row(each: Claim, case: Case, names: Sequence[str]) -> dict[str, Any]:
    estimate, low, high = case.interval
    return {
        "claim": each.text, "case": label(case.settings, names), "estimate": estimate, "low": low, "high": high,
        "repetitions": len(case.values), "used": case.used, "planned": case.planned,
        "verdict": str(each.verdict(case)), "note": _note(each, case),
    }  # fmt: skip


def _names(entries: Sequence[Entry]) -> list[str]:
    """Settings that name a case: fixed ones, and those in which the cases of a claim differ."""
    differing: list[str] = []
    for _, cases in entries:
        if cases:
            differing += differing_settings([case.settings for case in cases])
    return list(dict.fromkeys([*_NAMED, *differing]))


def _result(each: Claim, cases: Sequence[Case], names: Sequence[str]) -> str:
    case_shown = each.deciding(cases)
    if case_shown is None:
        reasons = "".join(f"; {label(case.settings, names)}: {_note(each, case)}" for case in cases)
        return f"Needs {each.needs}{reasons}. {planned_grids_sentence(each.grids)}"
    estimate, low, high = case_shown.interval
    name, runs = label(case_shown.settings, names), f"runs {case_shown.used} of {case_shown.planned}"
    text = f"{format_number(estimate)} {format_interval(low, high)}, {name}, n = {len(case_shown.values)}, {runs}"
    note = _note(each, case_shown)
    return f"{text} ({note})" if note else text


def _note(each: Claim, case: Case) -> str:
    """Note of a case, preceded by the reason if the case is not measured."""
    reason = ""
    if each.verdict(case) == Verdict.NOT_MEASURED:
        few = f"complete repetitions: {len(case.values)} (two are needed)"
        reason = "the interval includes the border" if math.isfinite(case.interval[1]) else few
    return "; ".join(text for text in (reason, case.note) if text)


def _verdict_counts(each: Claim, cases: Sequence[Case]) -> str:
    verdicts = Counter(each.verdict(case) for case in cases)
    return ", ".join(_count_text(verdicts, verdict) for verdict in Verdict if verdicts[verdict]) or "none"


def _overall_counts(entries: Sequence[Entry]) -> str:
    verdicts = Counter(each.overall(cases) for each, cases in entries)
    return f"Of {len(entries)} claims: {', '.join(_count_text(verdicts, verdict) for verdict in Verdict)}."


def _count_text(verdicts: Counter[Verdict], verdict: Verdict) -> str:
    return f"{verdicts[verdict]} {verdict if verdicts[verdict] == 1 else _PLURAL[verdict]}"
