"""Claims of the papers in the order of the papers, each with the statistic that decides it."""

from __future__ import annotations

from analysis.paper.claims import binarization_claims, later_claims, learned_claims, midpoint_claims, preserved_claims
from analysis.paper.claims.claim import RULE, Case, Claim, Verdict

__all__ = ["CLAIMS", "RULE", "Case", "Claim", "Verdict"]

CLAIMS: tuple[Claim, ...] = (
    midpoint_claims.training_raises_global,
    midpoint_claims.training_raises,
    midpoint_claims.no_tolerance_above_one,
    midpoint_claims.parameters_are_robust,
    midpoint_claims.clamping_takes_the_lead,
    midpoint_claims.first_is_weak,
    midpoint_claims.last_is_weak,
    midpoint_claims.without_parameters_plateau,
    midpoint_claims.batch_norm_raises,
    midpoint_claims.clamping_hardly_matters,
    midpoint_claims.last_two_are_exceptional,
    preserved_claims.some_points_keep,
    preserved_claims.last_points_drop,
    preserved_claims.rises_with_depth,
    preserved_claims.higher_on_mnist,
    preserved_claims.plateau_on_the_way,
    binarization_claims.values_cluster,
    binarization_claims.quantised_keep,
    binarization_claims.peak_below_the_noise,
    binarization_claims.weights_cluster,
    learned_claims.larger_weights,
    learned_claims.more_signal,
    later_claims.noise_training_raises,
    later_claims.distillation_raises,
    later_claims.distillation_doubles,
    later_claims.tailored_executions_win,
    later_claims.the_gain_is_predicted,
)
