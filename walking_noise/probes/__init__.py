"""Looking inside a trained network: what its values and weights are, and whether two or three of them would do.

Self-binarisation (Walking Noise v1, figure 4; v2): a network trained under strong multiplicative noise is said to use
few values. :func:`probe` finds the clusters of the values at every noise point and of every layer's weights, and
measures the accuracy with one place at a time quantised to them.
"""

from __future__ import annotations

from walking_noise.probes.clusters import Clusters, find_clusters
from walking_noise.probes.distribution import Distribution, Histogram, distribution
from walking_noise.probes.probe import Findings, PointFindings, Values, WeightFindings, probe

__all__ = [
    "Clusters",
    "Distribution",
    "Findings",
    "Histogram",
    "PointFindings",
    "Values",
    "WeightFindings",
    "distribution",
    "find_clusters",
    "probe",
]
