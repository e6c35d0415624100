from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.midpoints.flags import Flag
from analysis.paper import ledger
from analysis.paper.claims import (
    CLAIMS,
    Case,
    Claim,
    Verdict,
    binarization_claims,
    later_claims,
    learned_claims,
    midpoint_claims,
    preserved_claims,
)
from analysis.paper.claims.claim import ABOVE, BELOW
from analysis.paper.claims.walks import log_midpoints, pairs, walks
from tests.analysis.mixing import add_noise_free
from tests.analysis.paper.later_trials import EXECUTION_TRIALS, WEIGHT_TRIALS
from tests.analysis.walked import HIGHEST, Walked

CONFIGS = Path(__file__).parents[3] / "seml_configs"

Build = Callable[[Walked], object]

FLAT = [1.0] * 8
NORMED = [1.0] * 11
"""The MLP has 8 noise points, 11 with BatchNorm; of these, 0, 3, 6 and 9 follow no parameters."""
LED = [1.0 if point in (0, 3, 6, 9) else 10.0 for point in range(11)]

CLAMPED: dict[str, Any] = {"training__weight_clamp": 1.0}
INFERENCE: dict[str, Any] = {"noise__in_training": False}
BATCH_NORM: dict[str, Any] = {"model__batch_norm": True}
MULTIPLICATIVE: dict[str, Any] = {"noise__kind": "multiplicative"}


def at_maximum(accuracies: list[float], **settings: Any) -> Build:
    """Multiplicative noise of 1e10 at each point, and runs without noise that score 0.96."""

    def build(walked: Walked) -> None:
        normed = "model__batch_norm" not in settings
        shared = {name.replace("__", "."): value for name, value in settings.items()}
        shared["model.batch_norm"] = normed
        add_noise_free(walked.fake, **shared)
        for point, accuracy in enumerate(accuracies):
            chosen = {**MULTIPLICATIVE, "model__batch_norm": normed, **settings, "noise__point": point}
            walked.series(accuracy=accuracy, level=1e10, **chosen)

    return build


def on_two_sets(mnist: float, cifar10: float) -> Build:
    def build(walked: Walked) -> None:
        for name, accuracy in (("mnist", mnist), ("cifar10", cifar10)):
            at_maximum([accuracy] * 11, data__name=name)(walked)

    return build


def curve(accuracies: list[float]) -> Build:
    """Multiplicative noise at point 2 without BatchNorm, at levels a decade apart."""

    def build(walked: Walked) -> None:
        for decade, accuracy in enumerate(accuracies):
            walked.series(accuracy=accuracy, level=10.0**decade, noise__point=2, **MULTIPLICATIVE)

    return build


def learning(trained: float) -> Build:
    """A signal and weights of 1 without noise in training, ``trained`` times that with it."""

    def build(walked: Walked) -> None:
        for in_training, scale in ((True, trained), (False, 1.0)):
            fields: dict[str, Any] = {
                "audit": {"inference": {"signal": [1.0] + [scale] * 7}},
                "mean_abs_weight": {f"fc{number}": 0.05 * scale for number in (1, 2, 3, 4)},
            }
            walked.walk(FLAT, noise__in_training=in_training, fields=fields)

    return build


def with_findings(
    clusters: int = 2, quantised: float = 0.94, peak: float = 5e9, layers: int = 1, noise_on: float = 0.95
) -> Build:
    """A network trained at multiplicative noise of 1e10 at point 2, with findings of its probe."""

    def findings(count: int, weights: int) -> dict[str, Any]:
        values = {"clusters": {"count": count, "peak": peak}, "noise_on": quantised}
        points = [{"arriving": values, "leaving": values, "std_mul": 1e10}] * 8
        made = [{"weights": {"clusters": {"count": 2 if number < weights else 1}}} for number in range(4)]
        return {"points": points, "layers": made, "noise_on": noise_on, "noise_off": 0.96}

    def build(walked: Walked) -> None:
        walked.series(level=1e10, noise__point=2, **MULTIPLICATIVE)
        for document in walked.fake.documents:
            document["binarization"] = {"noisy": findings(clusters, layers), "noise_free": findings(1, 0)}

    return build


def clamped(free: list[float], bounded: list[float], **settings: Any) -> Build:
    return lambda walked: walked.walk(free, **settings).walk(bounded, **settings, **CLAMPED)


def walk(mus: list[float], **settings: Any) -> Build:
    return lambda walked: walked.walk(mus, **settings)


def with_and_without(settings: dict[str, Any], first: list[float], second: list[float]) -> Build:
    return lambda walked: walked.walk(first).walk(second, **settings)


def everywhere(mu: float, **settings: Any) -> Build:
    return lambda walked: walked.series(mu, **settings)


@dataclass(frozen=True)
class Trial:
    """A claim with a study in which it holds, one in which it fails, and one that does not measure it."""

    claim: Claim
    holds: Build
    fails: Build
    lacks: Build


LATER = (
    later_claims.noise_training_raises,
    later_claims.distillation_raises,
    later_claims.distillation_doubles,
    later_claims.tailored_executions_win,
    later_claims.the_gain_is_predicted,
)
TRIALS = [
    Trial(
        midpoint_claims.training_raises_global,
        lambda walked: walked.series(4.0).series(2.0, **INFERENCE),
        lambda walked: walked.series(2.0).series(2.0, **INFERENCE),
        everywhere(4.0),
    ),
    Trial(
        midpoint_claims.training_raises,
        with_and_without(INFERENCE, [3.0] * 8, FLAT),
        with_and_without(INFERENCE, FLAT, FLAT),
        with_and_without(INFERENCE, [3.0] * 8, FLAT[:7]),
    ),
    Trial(
        midpoint_claims.no_tolerance_above_one,
        everywhere(0.8, **MULTIPLICATIVE),
        everywhere(1.2, **MULTIPLICATIVE),
        everywhere(0.99, **MULTIPLICATIVE),
    ),
    Trial(midpoint_claims.parameters_are_robust, walk(LED, **BATCH_NORM), walk(NORMED, **BATCH_NORM), walk(FLAT)),
    Trial(
        midpoint_claims.clamping_takes_the_lead,
        clamped(LED, NORMED, **BATCH_NORM),
        clamped(LED, [mu**0.7 for mu in LED], **BATCH_NORM),
        clamped(NORMED, NORMED, **BATCH_NORM),
    ),
    Trial(midpoint_claims.first_is_weak, walk([0.5, *FLAT[1:]]), walk(FLAT), walk(FLAT[1:])),
    Trial(midpoint_claims.last_is_weak, walk([*FLAT[1:], 0.5]), walk(FLAT), walk(FLAT[1:])),
    Trial(
        midpoint_claims.without_parameters_plateau,
        walk([1.0, 3.0, 1.0, 9.0, 1.0, 20.0, 1.2, 5.0]),
        walk([1.0, 1.0, 1.0, 9.0, 10.0, 20.0, 50.0, 5.0]),
        walk(FLAT[1:]),
    ),
    Trial(
        midpoint_claims.batch_norm_raises,
        with_and_without(BATCH_NORM, FLAT, [2.0] * 11),
        with_and_without(BATCH_NORM, FLAT, NORMED),
        walk(FLAT),
    ),
    Trial(
        midpoint_claims.clamping_hardly_matters,
        clamped(FLAT, [1.1, 0.9] * 4),
        clamped(FLAT, [10.0, 0.1] * 4),
        walk(FLAT),
    ),
    Trial(
        midpoint_claims.last_two_are_exceptional,
        walk([*FLAT[:6], 20.0, 30.0]),
        walk([*FLAT[:6], 0.05, 30.0]),
        walk(NORMED, **BATCH_NORM),
    ),
    Trial(
        preserved_claims.some_points_keep,
        at_maximum([0.5, 0.9, 0.92, *[0.1135] * 8]),
        at_maximum([0.5, 0.6, 0.92, *[0.1135] * 8]),
        at_maximum([0.9] * 10),
    ),
    Trial(
        preserved_claims.last_points_drop,
        at_maximum([*[0.9] * 9, 0.1135, 0.1135]),
        at_maximum([*[0.9] * 10, 0.1135]),
        at_maximum([0.9] * 10),
    ),
    Trial(
        preserved_claims.rises_with_depth,
        at_maximum([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.91, *[0.1135] * 3]),
        at_maximum([0.91, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, *[0.1135] * 3]),
        at_maximum([0.9] * 11),
    ),
    Trial(preserved_claims.higher_on_mnist, on_two_sets(0.9, 0.6), on_two_sets(0.6, 0.9), at_maximum([0.9] * 11)),
    Trial(
        preserved_claims.plateau_on_the_way,
        curve([0.95, 0.95, 0.6, 0.61, 0.6, 0.59, 0.1135]),
        curve([0.95, 0.95, 0.6, 0.4, 0.3, 0.3, 0.3]),
        walk(FLAT),
    ),
    Trial(binarization_claims.values_cluster, with_findings(2), with_findings(1), with_findings(2, noise_on=0.5)),
    Trial(binarization_claims.quantised_keep, with_findings(), with_findings(quantised=0.5), with_findings(clusters=1)),
    Trial(binarization_claims.peak_below_the_noise, with_findings(), with_findings(peak=3e10), walk(FLAT)),
    Trial(binarization_claims.weights_cluster, with_findings(), with_findings(layers=0), walk(FLAT)),
    Trial(learned_claims.larger_weights, learning(3.0), learning(1.0), walk(FLAT)),
    Trial(learned_claims.more_signal, learning(3.0), learning(1.0), walk(FLAT)),
    *(Trial(one, *builds) for one, builds in zip(LATER, [*WEIGHT_TRIALS, *EXECUTION_TRIALS], strict=True)),
]


def verdict(claim: Claim, fake: Any, build: Build) -> Verdict:
    walked = Walked(fake)
    build(walked)
    return claim.overall(list(claim.cases(walked.study())))


def test_every_claim_has_a_trial():
    assert [trial.claim for trial in TRIALS] == list(CLAIMS)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.claim.cases.__name__)
def test_claim_holds_fails_or_is_not_measured(trial: Trial, fake_study):
    found = [verdict(trial.claim, fake_study(), build) for build in (trial.holds, trial.fails, trial.lacks)]
    assert found == [Verdict.HOLDS, Verdict.FAILS, Verdict.NOT_MEASURED]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.claim.cases.__name__)
def test_one_repetition_measures_nothing(trial: Trial, fake_study):
    walked = Walked(fake_study(), repetitions=1)
    trial.holds(walked)
    assert trial.claim.overall(list(trial.claim.cases(walked.study()))) == Verdict.NOT_MEASURED


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.cases.__name__)
def test_claims_have_a_criterion_and_grids(claim: Claim):
    assert claim.text.endswith(".")
    assert re.search(r"(above|below|between) ", claim.criterion)
    assert claim.needs
    assert claim.grids
    assert [grid for grid in claim.grids if not (CONFIGS / grid).is_file()] == []


def claim_that(low: float, high: float) -> Claim:
    return Claim("It is so.", "nowhere", "it", (low, high), "runs", ("table1/mnist.yaml",), lambda study: [])


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ((0.2, 0.21, 0.22), 0.1, ABOVE, Verdict.HOLDS),
        ((0.02, 0.03, 0.04), 0.1, ABOVE, Verdict.FAILS),
        ((0.02, 0.1, 0.2), 0.1, ABOVE, Verdict.NOT_MEASURED),
        ((0.2, 0.21, 0.22), BELOW, 0.1, Verdict.FAILS),
        ((0.2, 0.21, 0.22), 0.1, 0.3, Verdict.HOLDS),
        ((0.4, 0.41, 0.42), 0.1, 0.3, Verdict.FAILS),
        ((0.5, 0.5), 0.1, ABOVE, Verdict.HOLDS),
        ((0.5,), 0.1, ABOVE, Verdict.NOT_MEASURED),
        ((), 0.1, ABOVE, Verdict.NOT_MEASURED),
    ],
)
def test_the_interval_decides(values, low, high, expected):
    assert claim_that(low, high).verdict(Case({}, values)) == expected


def test_one_failing_case_fails_a_claim_and_is_the_one_shown():
    claim = claim_that(0.1, ABOVE)
    good, bad, open_ = Case({}, (0.5, 0.51)), Case({}, (0.01, 0.02)), Case({}, (0.0, 0.5))
    assert claim.overall([good, open_]) == Verdict.HOLDS
    assert claim.overall([good, bad, open_]) == Verdict.FAILS
    assert claim.deciding([good, bad, open_]) is bad
    assert claim.overall([open_]) == Verdict.NOT_MEASURED
    assert claim.deciding([]) is None


def test_midpoints_beyond_the_levels_count_as_the_level_at_the_edge(fake_study):
    (walk_,) = walks(
        Walked(fake_study()).walk([1.0, Flag.NEVER_FALLS, Flag.FIT_FAILED]).study(), noise__kind="additive"
    )
    assert log_midpoints(walk_.at[1]).tolist() == [math.log10(HIGHEST)] * 3
    assert walk_.log_mu[2].isna().all()
    assert walk_.whole.empty
    assert walk_.note.startswith(
        "midpoints that lie beyond the sampled levels and count as the highest or lowest one: 3 of 9"
    )
    assert walk_.note.endswith("points without a midpoint: 2, 3, 4, 5, 6, 7")


BEYOND: list[Any] = [*FLAT[:4], *[Flag.NEVER_FALLS] * 4]


def test_midpoints_beyond_the_same_edge_are_not_compared(fake_study):
    walked = Walked(fake_study()).walk(BEYOND).walk([3.0 * mu for mu in FLAT[:4]] + BEYOND[4:], **CLAMPED)
    (one,) = midpoint_claims.clamping_hardly_matters.cases(walked.study())
    assert one.interval[0] == pytest.approx(math.log10(3))
    assert "beyond the same end of the sampled levels: 4" in one.note


@pytest.mark.parametrize(
    "claim", [midpoint_claims.last_two_are_exceptional, midpoint_claims.without_parameters_plateau]
)
def test_midpoints_beyond_the_same_edge_have_no_order(claim: Claim, fake_study):
    (one,) = claim.cases(Walked(fake_study()).walk(BEYOND).study())
    assert list(one.values) == []


def test_levels_below_one_do_not_measure_a_tolerance_above(fake_study):
    walked = Walked(fake_study()).series(Flag.NEVER_FALLS, **MULTIPLICATIVE)
    (within,) = midpoint_claims.no_tolerance_above_one.cases(walked.study())
    assert midpoint_claims.no_tolerance_above_one.verdict(within) == Verdict.FAILS
    study = walked.study()
    (each,) = study.fitted_series
    fit = replace(each.fit, repetitions=replace(each.fit.repetitions, highest=0.9))
    low = replace(study, fitted_series=[replace(each, fit=fit)])
    assert list(midpoint_claims.no_tolerance_above_one.cases(low)) == []


@pytest.mark.parametrize("claim", [midpoint_claims.training_raises, midpoint_claims.training_raises_global])
def test_training_is_compared_with_free_weights(claim: Claim, fake_study):
    walked = Walked(fake_study())
    for settings in ({}, INFERENCE):
        walked.walk(FLAT, **settings, **CLAMPED).series(1.0, **settings, **CLAMPED)
    assert list(claim.cases(walked.study())) == []


def test_mnist_is_compared_with_series_of_the_same_noise(fake_study):
    walked = Walked(fake_study())
    at_maximum([0.9] * 11, data__name="mnist", training__epochs=5)(walked)
    at_maximum([0.6] * 11, data__name="cifar10")(walked)
    at_maximum([0.5] * 11, data__name="cifar10", data__transform="none")(walked)
    other_noise: dict[str, Any] = {**MULTIPLICATIVE, **BATCH_NORM, "noise__gradient": "straight_through"}
    for point in range(11):
        walked.series(accuracy=0.4, level=1e10, noise__point=point, data__name="cifar10", **other_noise)
    found = sorted(one.interval[0] for one in preserved_claims.higher_on_mnist.cases(walked.study()))
    assert found == pytest.approx([0.3 / 0.96, 0.4 / 0.96], abs=1e-3)


def test_pairs_differ_in_one_setting_only(fake_study):
    walked = Walked(fake_study()).walk(FLAT).walk(FLAT, **INFERENCE).walk(FLAT, training__epochs=5)
    ((trained, untrained),) = pairs(walks(walked.study()), "noise.in_training", True, False)
    assert trained.settings["training.epochs"] == untrained.settings["training.epochs"] == 20


def test_ledger_has_a_row_per_claim_with_statistic_count_and_verdict(fake_study, tmp_path: Path):
    walked = Walked(fake_study())
    walked.series(4.0, data__name="mnist").series(2.0, data__name="mnist", **INFERENCE)
    walked.series(2.0, data__name="cifar10").series(2.0, data__name="cifar10", **INFERENCE)
    table, unmeasured, _ = ledger.make(walked.study(), tmp_path)
    texts = table.texts.set_index("claim")
    assert len(texts) == 1
    first = texts.loc[midpoint_claims.training_raises_global.text]
    assert first["verdict"] == "fails"
    assert "CIFAR-10" in first["result"]
    assert "n = 3" in first["result"]
    assert first["cases"] == "1 holds, 1 fails"
    assert unmeasured.folded
    assert len(unmeasured.texts) == len(CLAIMS) - 1
    missing = unmeasured.texts.set_index("claim").loc[preserved_claims.some_points_keep.text]
    assert "Planned in seml_configs/maximum_noise/mnist.yaml" in missing["needs"]
    assert f"Of {len(CLAIMS)} claims: 0 hold, 1 fails, {len(CLAIMS) - 1} not measured." in table.caption
    numbers = pd.read_csv(tmp_path / "claims_cases.csv").set_index("case")
    on_mnist = numbers[numbers.index.str.startswith("MNIST")].iloc[0]
    assert on_mnist["estimate"] == pytest.approx(math.log10(2))
    assert on_mnist["verdict"] == "holds"
    assert (tmp_path / "claims.tex").read_text().count(r"\\") > len(CLAIMS)


def test_claims_apply_to_the_networks_and_data_sets_of_the_papers(fake_study, tmp_path: Path):
    foreign: dict[str, Any] = {"model__name": "vgg11", "data__name": "cifar10"}
    walked = Walked(fake_study()).series(4.0, **foreign).series(2.0, **foreign, **INFERENCE)
    assert ledger.make(walked.study(), tmp_path) == []
    assert not list(tmp_path.iterdir())
    walked.series(4.0, data__name="cifar10").series(2.0, data__name="cifar10", **INFERENCE)
    ledger.make(walked.study(), tmp_path)
    (case,) = pd.read_csv(tmp_path / "claims_cases.csv")["case"].unique()
    assert case.startswith("CIFAR-10, MLP")


def test_ledger_without_results_has_no_measured_claim(fake_study, tmp_path: Path):
    study = fake_study()
    study.add({"noise.std": 1.0}, "STAGED")
    table, unmeasured = ledger.make(study.analyse(), tmp_path)
    assert table.texts.empty
    assert len(unmeasured.texts) == len(CLAIMS)


def test_claims_read_fitted_midpoints(whole_analysis):
    study = whole_analysis
    (raised,) = midpoint_claims.training_raises.cases(study)
    # Point 3 never falls, point 7 falls beyond the levels, the last three keep more than half.
    beyond = sum(10 - math.log10(0.8 * 10 ** (0.35 * (point % 4))) for point in (3, 7, 8, 9, 10))
    assert raised.interval[0] == pytest.approx((6 * math.log10(20) + beyond) / 11, abs=0.1)
    assert len(raised.values) == 3
    assert "midpoints that lie beyond the sampled levels" in raised.note
