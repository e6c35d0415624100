"""Claims on self-binarisation: under extreme multiplicative noise, values gather at zero and at one more peak."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pandas as pd

from analysis.midpoints.maximum_noise import is_maximum
from analysis.midpoints.study import Study
from analysis.paper.claims.claim import ABOVE, BELOW, Case, claim
from analysis.paper.claims.preserved_claims import TEN_POINTS
from analysis.paper.claims.walks import Walk, case, walks
from analysis.paper.planned_grids import COARSE
from analysis.runs.binarization_findings import Findings, NetworkPair
from analysis.runs.run_frame import rows

GRIDS = ("maximum_noise/mnist.yaml", COARSE)

_KEEPS = "among the points at which noise costs at most ten percentage points of accuracy,"
_NEEDS = (
    "multiplicative walking noise of 1e10 or more, trained with noise, with training.keep_network: true and the "
    "findings of `walking-noise binarize`"
)


@claim(
    source="v1, figure 4",
    statistic=f"{_KEEPS} the share whose incoming values form two or three clusters, minus that share in the same "
    "network trained without noise,",
    region=(0.5, ABOVE),
    needs=_NEEDS,
    grids=GRIDS,
)
def values_cluster(study: Study) -> Iterator[Case]:
    """Layers that keep their accuracy under extreme multiplicative noise have binarised their activations."""

    def more(networks: NetworkPair, point: int) -> float:
        noise_free, noisy = (_clusters(findings["points"][point]["arriving"]) for findings in networks)
        return float(noisy > 1) - float(noise_free > 1)

    yield from _cases(study, more)


@claim(
    source="v1, figure 4",
    statistic=f"{_KEEPS} the mean loss of accuracy (with noise) when incoming values that form clusters are quantised,",
    region=(BELOW, 0.02),
    needs=_NEEDS,
    grids=GRIDS,
)
def quantised_keep(study: Study) -> Iterator[Case]:
    """A network keeps its accuracy when binarised activations are replaced by two or three values."""

    def loss(networks: NetworkPair, point: int) -> float:
        arriving = networks.noisy["points"][point]["arriving"]
        return float(networks.noisy["noise_on"] - arriving["noise_on"]) if _clusters(arriving) > 1 else math.nan

    yield from _cases(study, loss)


@claim(
    source="v1, figure 4",
    statistic=f"{_KEEPS} the mean of log10(second peak of the noisy values / standard deviation of the noise),",
    region=(-1.0, 0.0),
    needs=_NEEDS,
    grids=GRIDS,
)
def peak_below_the_noise(study: Study) -> Iterator[Case]:
    """The second peak of the noisy values lies just below the standard deviation of the noise."""

    def distance(networks: NetworkPair, point: int) -> float:
        noisy = networks.noisy["points"][point]
        leaving = noisy["leaving"]
        return math.log10(leaving["clusters"]["peak"] / noisy["std_mul"]) if _clusters(leaving) > 1 else math.nan

    yield from _cases(study, distance)


@claim(
    source="v2, abstract",
    statistic=f"{_KEEPS} the mean share of layers whose weights form two or three clusters, minus that share in the "
    "same network trained without noise,",
    region=(0.05, ABOVE),
    needs=_NEEDS,
    grids=GRIDS,
)
def weights_cluster(study: Study) -> Iterator[Case]:
    """Training with extreme multiplicative noise binarises model parameters, too."""

    def more(networks: NetworkPair, point: int) -> float:
        noise_free, noisy = ([_clusters(layer["weights"]) > 1 for layer in findings["layers"]] for findings in networks)
        return (sum(noisy) - sum(noise_free)) / len(noisy)

    yield from _cases(study, more)


def _cases(study: Study, statistic: Callable[[NetworkPair, int], float]) -> Iterator[Case]:
    """A case per walk with findings. Its values are the means of a statistic over the points of each repetition."""
    for walk in walks(study, noise__kind="multiplicative", noise__in_training=True):
        values = [(repetition, statistic(networks, point)) for repetition, point, networks in _accurate_networks(walk)]
        table = pd.DataFrame(values, columns=["repetition", "value"]).dropna()
        if len(table):
            by_repetition = table.groupby("repetition")["value"].mean()
            yield case(by_repetition, walk, note=f"networks analysed: {len(table)}")


def _accurate_networks(walk: Walk) -> Iterator[tuple[str, int, NetworkPair]]:
    """Repetition, noisy point and findings of the networks that lose at most ten percentage points of accuracy."""
    for point, each in walk.at.items():
        analysed = each.series.used[each.series.used["binarization"].notna()]
        for run in rows(analysed[is_maximum(analysed["level"])]):
            networks = NetworkPair(run["binarization"]["noise_free"], run["binarization"]["noisy"])
            if networks.noisy["noise_on"] >= networks.noise_free["noise_off"] - TEN_POINTS:
                yield run["repetition"], point, networks


def _clusters(values: Findings) -> int:
    return int(values["clusters"]["count"])
