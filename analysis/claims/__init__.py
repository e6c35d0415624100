"""The claims of the papers, each with the rule by which runs decide it, in the order of the papers."""

from __future__ import annotations

from analysis.claims import binarization, learned, midpoints, preserved
from analysis.claims.claim import RULE, Case, Claim, Verdict

__all__ = ["CLAIMS", "RULE", "Case", "Claim", "Verdict"]

CLAIMS: tuple[Claim, ...] = (
    midpoints.training_raises_global,
    midpoints.training_raises,
    midpoints.no_tolerance_above_one,
    midpoints.parameters_are_robust,
    midpoints.clamping_takes_the_lead,
    midpoints.first_is_weak,
    midpoints.last_is_weak,
    midpoints.without_parameters_plateau,
    midpoints.batch_norm_raises,
    midpoints.clamping_hardly_matters,
    midpoints.last_two_are_exceptional,
    preserved.some_points_keep,
    preserved.last_points_drop,
    preserved.rises_with_depth,
    preserved.higher_on_mnist,
    preserved.plateau_on_the_way,
    binarization.values_cluster,
    binarization.quantised_keep,
    binarization.peak_below_the_noise,
    binarization.weights_cluster,
    learned.larger_weights,
    learned.more_signal,
)
