"""Real speech: features compared with an independent implementation, a sample of the data set, and a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.walking_noise.data.fsdd import DIGITS, convert
from tests.walking_noise.data.speech import FOLDER
from walking_noise import RunConfig, data, train
from walking_noise.data import KEYWORDS
from walking_noise.data.speech.mfcc import features, scaled

pytestmark = pytest.mark.data

REFERENCE = "mlperf_tiny_kws_1000.npz"
FITTED = 200


def present(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no {path.name} in {path.parent}")
    return path


@pytest.fixture(scope="module")
def reference(data_root: Path) -> dict[str, Tensor]:
    """Clips of Speech Commands with the int8 features of MLPerf Tiny's reference implementation."""
    with np.load(present(data_root / REFERENCE)) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in ("audio", "mfcc_kws01", "mfcc_open")}


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())[0, 1])


@pytest.mark.parametrize("name", ["mfcc_kws01", "mfcc_open"])
def test_features_are_those_of_an_independent_implementation(reference: dict[str, Tensor], name: str) -> None:
    """Up to a scale and an offset, rounding to int8, and the few numbers below its range."""
    theirs = reference[name].double()
    ours = features(scaled(reference["audio"])).squeeze(1).transpose(1, 2).double()
    within = theirs[:FITTED] > -128
    design = torch.stack([ours[:FITTED][within], torch.ones(int(within.sum()), dtype=torch.float64)], dim=1)
    scale, offset = torch.linalg.lstsq(design, theirs[:FITTED][within].unsqueeze(1)).solution.flatten()
    quantised = (ours * scale + offset).round()[FITTED:]
    rest = theirs[FITTED:]
    assert correlation(quantised.clamp(-128, 127), rest) > 0.99
    assert min(correlation(quantised[..., k].clamp(-128, 127), rest[..., k]) for k in range(10)) > 0.99
    held = (quantised > -128) & (quantised < 127)
    assert float((~held).double().mean()) < 0.002
    assert int((quantised - rest)[held].abs().max()) <= 1
    assert correlation(quantised[held], rest[held]) > 0.999


def test_a_sample_of_the_real_data_set_is_read(data_root: Path) -> None:
    folder = present(data_root / FOLDER)
    sample = data.load("gsc", root=data_root)
    names = {f"{path.parent.name}/{path.name}" for path in folder.glob("[a-z]*/*.wav")}
    tests = names & set((folder / "testing_list.txt").read_text().split())
    assert f"gsc: {len(names):,} of 105,829 recordings in {folder}" == str(data.status("gsc", data_root))
    words = sum(name.partition("/")[0] in KEYWORDS for name in tests)
    counts = sample.validation_labels.bincount(minlength=12).tolist()
    assert (sum(counts[:10]), counts[11]) == (words, len(tests) - words)
    assert sample.train_samples.isfinite().all()
    assert sample.classes == 12


def accuracy_on_words(accuracy: float, labels: Tensor) -> float:
    """Lower bound of the accuracy on the words, reached if all samples of silence are classified correctly."""
    silence = int((labels == len(DIGITS)).sum())
    return (accuracy * len(labels) - silence) / (len(labels) - silence)


@pytest.mark.slow
def test_a_network_recognises_the_digits_of_a_new_speaker(data_root: Path, tmp_path: Path) -> None:
    recordings = present(data_root / "fsdd" / "recordings")
    background = present(data_root / FOLDER / "_background_noise_")
    convert(recordings, background, tmp_path, held_out="yweweler")
    config = RunConfig.from_dict(
        {
            "data.name": "gsc",
            "data.keywords": list(DIGITS),
            "data.transform": "none",
            "model.name": "cnn_s",
            "model.batch_norm": True,
            "training.epochs": 8,
        }
    )
    (result,) = train([config], device="cpu", data_root=tmp_path)
    labels = data.load(**vars(config.data), root=tmp_path).validation_labels
    assert labels.bincount(minlength=12)[:10].tolist() == [50] * 10
    assert accuracy_on_words(result.accuracy, labels) > 0.85
