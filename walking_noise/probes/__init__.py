"""Probes of a trained network: distributions and clusters of its activations and weights, accuracy after quantisation.

Self-binarisation (Walking Noise v1, figure 4; v2): according to the papers, a network trained under strong
multiplicative noise uses few values. :func:`probe` finds the clusters of the activations at every noise point and of
the weights of every layer. It measures the accuracy with the values of one noise point or layer quantised to their
clusters.
"""

from __future__ import annotations

from walking_noise.probes.probe import Findings, probe

__all__ = ["Findings", "probe"]
