"""Peers of packs: networks, ensembles and data sets compute the same, and a different one is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from experiments.errors import UserError
from tests.benchmarks.peers import equality_checks, sample_data
from tests.benchmarks.peers.cases import Case, cases
from tests.benchmarks.peers.ensemble import TITLES, missing
from tests.benchmarks.peers.equality_checks import changed
from tests.benchmarks.peers.peer import ensemble
from tests.benchmarks.peers.usual_training import Noise, plain_network
from tests.benchmarks.peers.vmap_training import VmapEnsemble
from walking_noise import RunConfig
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")
MLP = cases(CPU)[0]

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case.data != "mnist"), id=case.title) for case in cases(CPU)],
)
def test_the_peers_compute_the_same(case: Case):
    equality_checks.check(case, CPU)


def test_a_different_plain_network_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def biased(config: RunConfig, noisy: bool = True) -> nn.Sequential:
        network = plain_network(config, noisy)
        with torch.no_grad():
            next(reversed(list(network.parameters())))[0] += 0.1
        return network

    monkeypatch.setattr(equality_checks, "plain_network", biased)
    with pytest.raises(UserError, match="the logits of a pack and of the plain networks differ by"):
        equality_checks.check(MLP, CPU)


def test_a_different_run_in_a_pack_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def reseeded(configs: list[RunConfig], *rest: Any) -> list[TrainedNetwork]:
        single = len(configs) == 1
        return train_pack([changed(config, {"seed": config.seed + single}) for config in configs], *rest)

    monkeypatch.setattr(equality_checks, "train_pack", reseeded)
    with pytest.raises(UserError, match="the losses of a run in a pack and by itself differ by"):
        equality_checks.check(MLP, CPU)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"noise.std": 1.1}, r"has the level 1\.(09|10)"), ({"noise.point": 4}, "has noise after fc2, not after bn2")],
)
def test_different_noise_is_an_error(changes: Mapping[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch):
    def noisier(config: RunConfig) -> nn.Sequential:
        return plain_network(changed(config, dict(changes)))

    monkeypatch.setattr(equality_checks, "plain_network", noisier)
    with pytest.raises(UserError, match=fault):
        equality_checks.check_noise(MLP, CPU)


def checked(case: Case, name: str) -> None:
    """Check a small ensemble of the runs of a case."""
    images = sample_data.samples(case.data)
    equality_checks.check_ensemble(case, name, ensemble(name, tuple(case.pack(3, 0, 1)), images), images)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(
            case,
            name,
            marks=[] if name == "d" and case.data == "mnist" else pytest.mark.slow,
            id=f"{name}: {case.title}",
        )
        for case in cases(CPU)
        for name in case.peers.split()
        if name in TITLES and name != "d'"  # compiling takes a minute; the benchmark itself checks it before timing
    ],
)
def test_an_ensemble_computes_the_same(case: Case, name: str):
    if reason := missing(name):
        pytest.skip(reason)
    checked(case, name)


def rate(ensemble: VmapEnsemble) -> None:
    for group in ensemble.adam.param_groups:
        group["lr"] *= 1.5


def weights(ensemble: VmapEnsemble) -> None:
    ensemble.parameters["fc4.bias"][-1] += 0.1


def level(ensemble: VmapEnsemble) -> None:
    ensemble.statistics["bn2 noise.add"] *= 1.1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (weights, "the logits of d and of the plain networks differ"),
        (rate, "the losses of d and of the plain networks differ"),
        (level, "running_var of d and of the plain networks differ"),
    ],
)
def test_a_different_ensemble_is_an_error(
    fault: Callable[[VmapEnsemble], None], message: str, monkeypatch: pytest.MonkeyPatch
):
    reset = VmapEnsemble.reset

    def changed_reset(self: VmapEnsemble, configs: Sequence[RunConfig], noisy: bool = True) -> None:
        reset(self, configs, noisy)
        fault(self)

    monkeypatch.setattr(VmapEnsemble, "reset", changed_reset)
    with pytest.raises(UserError, match=message):
        checked(MLP, "d")


def test_equal_noise_in_all_runs_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def same_draws(function: Callable[..., Any], in_dims: Any, randomness: str) -> Any:
        return torch.func.vmap(function, in_dims, randomness="same")

    monkeypatch.setattr("tests.benchmarks.peers.vmap_training.vmap", same_draws)
    ensemble.cache_clear()
    with pytest.raises(UserError, match="d draws the same noise for several runs or steps"):
        checked(MLP, "d")


def test_the_noise_layer():
    x = torch.full((10**5,), 2.0)
    torch.manual_seed(0)
    assert (Noise(0.5, 0.0)(x) / x - 1).std() == pytest.approx(0.5, rel=0.02)
    assert (Noise(0.0, 0.3)(x) - x).std() == pytest.approx(0.3, rel=0.02)
    assert Noise(0.5, 0.3)(x).var() == pytest.approx(1.0 + 0.09, rel=0.03)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_usual_data_set_holds_the_same_samples(name: str):
    images = sample_data.samples(name)
    assert images.name == sample_data.RANDOM
    loader = sample_data.usual_loader(name, images, 100, workers=0, pinned=False)
    x, y = next(iter(loader))
    assert (x.shape, y.shape, len(loader)) == ((100, *images.train_samples.shape[1:]), (100,), 3)
    from torchvision.transforms import ToTensor

    loader.dataset.transform = ToTensor()  # type: ignore[attr-defined]
    pixels, label = loader.dataset[7]
    assert torch.equal(pixels, images.train_samples[7] / 255)
    assert label == images.train_labels[7]


@pytest.mark.data
@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("cifar10", "CIFAR10")])
def test_the_usual_data_set_equals_torchvisions(name: str, kind: str, data_root: Path, monkeypatch: pytest.MonkeyPatch):
    from torchvision import datasets

    monkeypatch.setenv("WALKING_NOISE_DATA", str(data_root))
    images = sample_data.samples(name)
    assert images.name == name
    ours: Any = sample_data.usual_loader(name, images, 128, workers=0, pinned=False).dataset
    theirs = getattr(datasets, kind)(data_root, transform=ours.transform)
    for index in (0, 1, 1234, len(theirs) - 1):
        torch.manual_seed(index)
        x, y = ours[index]
        torch.manual_seed(index)
        expected, label = theirs[index]
        assert torch.equal(x, expected)
        assert y == label
    assert len(ours) == len(theirs)
