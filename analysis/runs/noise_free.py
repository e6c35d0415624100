"""Noise-free reference runs of a series."""

from __future__ import annotations

import pandas as pd

from analysis.runs.run_frame import SEED_SETTINGS, distinct_runs
from analysis.runs.run_settings import is_storage_setting
from analysis.runs.series import Settings


def noise_free_runs(runs: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Completed runs without noise that are trained as ``settings`` describe, apart from the noise.

    Noise of kind ``none`` and noise of level 0 count as the same. The runs agree with ``settings`` in all settings
    except noise, seeds and storage settings. One run per seed is returned: a repetition of the noise-free accuracy.

    Parameters
    ----------
    runs
        As in :func:`analysis.runs.run_frame.to_frame`.
    settings
        Settings by dotted name: all settings of a run, or those shared by the runs of a series.
    """
    without_noise = runs[runs["noisy"].eq(False) & (runs["state"] == "completed")]
    for name, value in settings.items():
        if name not in SEED_SETTINGS and not name.startswith("noise.") and not is_storage_setting(name):
            without_noise = without_noise[without_noise[name].isna() if value is None else without_noise[name] == value]
    return distinct_runs(without_noise)
