"""The runs without noise that a series is compared with."""

from __future__ import annotations

import pandas as pd

from analysis.runs.run_frame import SEED_SETTINGS, distinct_runs, is_kept
from analysis.runs.series import Settings


def noise_free(runs: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The completed runs without any noise whose training is that of ``settings``, were it not for the noise.

    Noise of kind ``none`` and of level 0 are the same. The runs agree with ``settings`` in everything but noise, seeds
    and what is kept; there is one for each seed, a repetition of the noise-free accuracy.

    Parameters
    ----------
    runs
        As in :func:`analysis.runs.run_frame.to_frame`.
    settings
        By dotted name; all of a run's, or those that a series shares.
    """
    silent = runs[runs["noisy"].eq(False) & (runs["state"] == "completed")]
    for name, value in settings.items():
        if name not in SEED_SETTINGS and not name.startswith("noise.") and not is_kept(name):
            silent = silent[silent[name].isna() if value is None else silent[name] == value]
    return distinct_runs(silent)
