"""Closed forms of noisy layers, by SciPy, against the evaluator: a network trained on real digits, 1,000 samples."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor, nn

from tests.walking_noise.conftest import part
from tests.walking_noise.running import HERE, run
from walking_noise import RunConfig, data, train
from walking_noise.checkpoints.network_cache import read_network
from walking_noise.data import DataSet
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.models.noise_points import Inject
from walking_noise.pack.pack import Pack

Array = NDArray[np.float64]
SAMPLES, DRAWS = 1000, 100
STANDARD_ERRORS = 4.0
"""Allowed difference between measurement and closed form. Seeds are fixed: a test passes always or never."""
U = np.linspace(-8, 8, 161)
"""Nodes of an integral over φ(u); the trapezoidal rule converges exponentially for such integrands."""
WEIGHTS = np.exp(-(U**2) / 2) / np.sqrt(2 * np.pi) * (U[1] - U[0])
TRAINING: dict[str, Any] = {"training__epochs": 4, "training__learning_rate": 3e-3}
POINTS = ("input", "fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "fc4")
"""Noise points of the MLP without BatchNorm; fc4 gives the logits."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network trained without noise, in the folder from which inference-only runs take it."""

    data: DataSet
    network: nn.Sequential
    folder: Path

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.data.validation_labels.numpy()

    def parameters(self, layer: str) -> tuple[Array, Array]:
        """Weights ``(outputs, inputs)`` and bias of a layer, in float64."""
        weight, bias = (self.network.get_parameter(f"{layer}.{name}") for name in ("weight", "bias"))
        return weight.detach().double().numpy(), bias.detach().double().numpy()

    def clean(self) -> dict[str, Array]:
        """The noise-free values at every noise point, ``(samples, n)``."""
        x = self.data.transform.validation_inputs(self.data.validation_samples).flatten(1).double().numpy()
        values = {"input": x}
        for name in POINTS[1:]:
            if name.startswith("fc"):
                weight, bias = self.parameters(name)
                values[name] = x = x @ weight.T + bias
            else:
                values[name] = x = np.maximum(x, 0)
        return values

    def accuracies(self, point: str, level: float, kind: str = "additive") -> Array:
        """The accuracies of inference-only runs that differ in the seed of their noise, ``(draws,)``."""
        results = train(noisy_runs(point, level, kind), networks=self.folder, **HERE)
        return np.array([result.accuracy for result in results])

    def arriving(self, at: str, point: str, level: float, kind: str = "additive") -> Array:
        """The values that arrive at a noise point with noise at an earlier one, ``(draws, samples, n)``."""
        blocks: list[Tensor] = []

        def recorded(inject: Inject) -> Inject:
            def record(number: int, x: Tensor, member: int | None = None) -> Tensor:
                if number == POINTS.index(at):
                    blocks.append(x)
                return inject(number, x, member)

            return record

        configs = noisy_runs(point, level, kind)
        evaluate(Pack([self.network]), [0] * DRAWS, configs, self.data, 1, wrap_injection=recorded)
        return torch.cat(blocks, 1).double().numpy()


def noisy_runs(point: str, level: float, kind: str) -> list[RunConfig]:
    noise: dict[str, Any] = {"noise__kind": kind, "noise__std": level, "noise__point": POINTS.index(point)}
    return [run(**TRAINING, **noise, noise__in_training=False, noise__seed=seed) for seed in range(DRAWS)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    few, folder = part(data.load("mnist5k"), 5000, SAMPLES), tmp_path_factory.mktemp("networks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *selection, **settings: few)
        config = run(**TRAINING, noise__kind="none", training__keep_network=True)
        (result,) = train([config], networks=folder, **HERE)
        assert result.network is not None
        network = config.initial_network().eval()
        state = read_network(folder / result.network).state
        network.load_state_dict({name.removeprefix("layers."): tensor for name, tensor in state.items()})
        yield Trained(few, network, folder)


def probability_of_correct(mean: Array, std: Array, labels: NDArray[np.int64]) -> Array:
    """P(the logit of the label is the largest) of independent Gaussian logits ``(samples, classes)``, ``(samples,)``.

    ``∫ φ(u) ∏_{j≠y} Φ((z_y + s_y·u - z_j) / s_j) du``.
    """
    rows = np.arange(len(mean))
    of_label = mean[rows, labels][:, None] + std[rows, labels][:, None] * U
    below = ndtr((of_label[:, None] - mean[:, :, None]) / std[:, :, None])
    below[rows, labels] = 1.0
    return np.asarray(below.prod(1) @ WEIGHTS)


def assert_close(measured: Array, expected: Array | float) -> None:
    """The mean over the first dimension, of independent draws, agrees with the expected one within standard errors."""
    error = measured.std(0, ddof=1) / np.sqrt(len(measured))
    difference = np.abs(measured.mean(0) - expected)
    assert (difference <= STANDARD_ERRORS * error + 1e-6 * np.abs(expected)).all(), (difference / error).max()


@pytest.mark.parametrize("level", [2.0, 6.0])
def test_noise_at_the_logits(level: float, trained: Trained) -> None:
    logits = trained.clean()["fc4"]
    each = probability_of_correct(logits, np.full_like(logits, level), trained.labels)
    accuracies = trained.accuracies("fc4", level)
    assert 0.15 < accuracies.mean() < 0.8
    standard_error = np.sqrt((each * (1 - each)).sum() / DRAWS) / SAMPLES
    assert abs(accuracies.mean() - each.mean()) < STANDARD_ERRORS * standard_error


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_noise_at_the_last_hidden_activations(kind: str, trained: Trained) -> None:
    """The covariance of the logits is ``s² W Wᵀ``, or ``s² W diag(h²) Wᵀ``; two logits differ by a Gaussian number."""
    level, clean = 1.0, trained.clean()
    weight, _ = trained.parameters("fc4")
    h, logits = clean["relu3"], clean["fc4"]
    spread = np.ones_like(h) if kind == "additive" else h
    noisy = trained.arriving("fc4", "relu3", level, kind)
    noise = noisy - logits
    assert_close(noise.mean(1), 0.0)
    products = np.einsum("dbi,dbj->dij", noise, noise) / SAMPLES
    assert_close(products, level**2 * np.einsum("ik,bk,jk->ij", weight, spread**2, weight) / SAMPLES)
    rows, other = np.arange(SAMPLES), np.where(trained.labels == 3, 5, 3)
    difference = weight[trained.labels] - weight[other]
    std = level * np.sqrt(((difference * spread) ** 2).sum(1))
    margin = logits[rows, trained.labels] - logits[rows, other]
    wins = noisy[:, rows, trained.labels] > noisy[:, rows, other]
    expected = ndtr(margin / std)
    assert 0.6 < expected.mean() < 0.99
    assert (
        abs(wins.mean() - expected.mean())
        < STANDARD_ERRORS * np.sqrt((expected * (1 - expected)).sum() / DRAWS) / SAMPLES
    )


def relu_moments(mean: Array, std: Array | float) -> tuple[Array, Array]:
    """E[max(x, 0)] and E[max(x, 0)²] of Gaussian x: ``m Φ(m/s) + s φ(m/s)``, ``(m² + s²) Φ(m/s) + m s φ(m/s)``."""
    ratio = mean / std
    cumulative, density = ndtr(ratio), np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
    return mean * cumulative + std * density, (mean**2 + std**2) * cumulative + mean * std * density


@pytest.mark.parametrize("level", [0.3, 3.0])
def test_noise_in_front_of_a_relu(level: float, trained: Trained) -> None:
    """Compared over all values whose mean is between whole multiples of the noise, from -4 to 4, if they are many."""
    mean = trained.clean()["fc3"]
    first, second = relu_moments(mean, level)
    values = trained.arriving("relu3", "fc3", level)
    compared = 0
    for multiple in range(-4, 4):
        chosen = (mean >= multiple * level) & (mean < (multiple + 1) * level)
        if chosen.sum() > 1000:
            assert_close(values[:, chosen].mean(1), first[chosen].mean())
            assert_close((values[:, chosen] ** 2).mean(1), second[chosen].mean())
            compared += 1
    assert compared >= 4


def matched_moments(trained: Trained, point: str, level: float) -> tuple[Array, Array]:
    """Mean ``(samples, 10)`` and covariance ``(samples, 10, 10)`` of the logits with additive noise at a point.

    Values are taken as Gaussian in front of every ReLU. Behind it, covariances are those of first order in the
    covariance in front, ``Φ(m_i/s_i) Φ(m_j/s_j) c_ij`` (Price's theorem).
    """
    mean = trained.clean()[point]
    covariance = np.tile(level**2 * np.eye(mean.shape[1]), (SAMPLES, 1, 1))
    for name in POINTS[POINTS.index(point) + 1 :]:
        if name.startswith("fc"):
            weight, bias = trained.parameters(name)
            mean, covariance = mean @ weight.T + bias, weight @ covariance @ weight.T
        else:
            diagonal = np.arange(mean.shape[1])
            std = np.sqrt(covariance[:, diagonal, diagonal])
            slope = ndtr(mean / std)
            mean, second = relu_moments(mean, std)
            covariance *= slope[:, :, None] * slope[:, None]
            covariance[:, diagonal, diagonal] = second - mean**2
    return mean, covariance


@pytest.mark.parametrize("level", [1.0, pytest.param(2.0, marks=pytest.mark.slow), 4.0])
@pytest.mark.parametrize("point", ["fc1", "relu1", "fc2"])
def test_noise_at_deeper_points_by_moment_matching(point: str, level: float, trained: Trained) -> None:
    """Approximate, for what arrives at a ReLU behind the first one is not Gaussian: within two points of accuracy."""
    mean, covariance = matched_moments(trained, point, level)
    draws = np.random.default_rng(0).standard_normal((DRAWS, *mean.shape))
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(10))
    logits = mean + np.einsum("bij,dbj->dbi", root, draws)
    predicted = (logits.argmax(2) == trained.labels).mean()
    measured = trained.accuracies(point, level).mean()
    assert measured < 0.88
    assert abs(measured - predicted) < 0.02


@pytest.mark.parametrize("point", ["fc1", "relu1"])
@pytest.mark.parametrize(
    "settings",
    [
        {"noise__std": 1.5},
        {"noise__kind": "uniform", "noise__std": 1.5},
        {"noise__kind": "quantisation", "noise__bits": 1},
    ],
)
def test_scaled_weights_scale_the_levels(settings: dict[str, Any], point: str, trained: Trained) -> None:
    """A ReLU layer with doubled weights and bias and halved weights behind it: the same network at twice the level."""
    scaled = copy.deepcopy(trained.network)
    with torch.no_grad():
        for parameter in scaled.get_submodule("fc1").parameters():
            parameter.mul_(2)
        scaled.get_parameter("fc2.weight").div_(2)
    twice = {name: 2 * value if name == "noise__std" else value for name, value in settings.items()}
    found = []
    for network, level in ((trained.network, settings), (scaled, twice), (scaled, settings)):
        seeds = [{}] if "noise__bits" in settings else [{"noise__seed": seed} for seed in range(5)]
        where = {"noise__point": POINTS.index(point), "noise__in_training": False}
        configs = [run(**level, **where, **seed) for seed in seeds]
        evaluations = evaluate(Pack([network]), [0] * len(configs), configs, trained.data, 1)
        found.append([evaluation.accuracy for evaluation in evaluations])
    assert found[0] == found[1]
    assert (found[0] == found[2]) == ("noise__bits" in settings)
    assert max(found[0]) < 0.87


@pytest.mark.parametrize(
    ("draws", "samples", "redraws"),
    [(8, 125, ["sample", "chip"]), pytest.param(200, 500, ["sample", "batch", "chip"], marks=pytest.mark.slow)],
)
def test_noise_on_the_last_weights(
    draws: int, samples: int, redraws: list[str], trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``(W + E)h`` has Gaussian logits of standard deviation ``s·‖h‖``; samples with common draws vary together."""
    level = 0.15
    fewer = part(trained.data, 5000, samples)
    monkeypatch.setattr(data, "load", lambda *selection, **settings: fewer)
    clean = trained.clean()
    norms = np.linalg.norm(clean["relu3"][:samples], axis=1, keepdims=True)
    logits, labels = clean["fc4"][:samples], trained.labels[:samples]
    expected = probability_of_correct(logits, level * norms * np.ones_like(logits), labels).mean()
    assert 0.4 < expected < 0.9
    noise: dict[str, Any] = {"noise__target": "weights", "noise__std": level, "noise__point": POINTS.index("fc4")}
    spread: dict[str, float] = {}
    for redraw in redraws:
        only: dict[str, Any] = {"noise__in_training": False, "evaluation__noise_draws": draws}
        config = run(**TRAINING, **noise, **only, noise__redraw=redraw)
        (result,) = train([config], networks=trained.folder, **HERE)
        accuracies = np.array(result.draw_accuracies)
        assert_close(accuracies, expected)
        spread[redraw] = float(accuracies.std(ddof=1))
    assert sorted(spread, key=lambda redraw: spread[redraw]) == redraws
