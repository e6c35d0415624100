"""Sweeps of noise levels at the noise points of a trained network: closed forms, and levels together or one by one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, special
from torch import Tensor, nn

from tests.walking_noise import own_parts
from walking_noise.data import DataSet
from walking_noise.evaluation.noise_sweep import NoiseSweep

LEVELS = (0.03, 0.3, 1.0, 3.0)


def digits_of(data: DataSet, count: int = 200) -> tuple[Tensor, Tensor]:
    return data.transform.validation_inputs(data.validation_samples[:count]), data.validation_labels[:count]


def probability_of_correct(logits: Any, label: int, level: float) -> float:
    """P(correct) with additive noise at the logits: ∫ φ(u) ∏ Φ(u + (z_y - z_j)/s) du over the other classes j."""
    margins = (logits[label] - np.delete(logits, label)) / level

    def density(u: float) -> float:
        return float(np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) * np.prod(special.ndtr(u + margins)))

    return integrate.quad(density, -8, 8)[0]


def test_noise_at_the_logits_gives_the_accuracy_of_the_closed_form() -> None:
    random = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    x, labels = torch.randn(100, 1, 12, generator=random), torch.randint(4, (100,), generator=random)
    sweep = NoiseSweep(network, x, labels)
    assert [point.name for point in sweep.points] == ["input", "1"]
    logits = network(x).detach().double().numpy()
    draws = 200
    measured = torch.stack([sweep.correct(1, (0.2, 1.0), seed=seed) for seed in range(draws)]).double().mean((0, 2))
    for level, accuracy in zip((0.2, 1.0), measured.tolist(), strict=True):
        each = np.array([probability_of_correct(z, int(y), level) for z, y in zip(logits, labels, strict=True)])
        standard_error = np.sqrt((each * (1 - each)).sum() / draws) / len(each)
        assert abs(accuracy - each.mean()) < 4 * standard_error


@pytest.mark.parametrize("build", [own_parts.transformer, own_parts.resnet18])
def test_levels_together_equal_levels_one_by_one(build: Any, digits: DataSet) -> None:
    x, labels = digits_of(digits, 40)
    if build is own_parts.resnet18:
        x = x[:, :, ::2, ::2].expand(-1, 3, -1, -1)
    torch.manual_seed(0)
    sweep = NoiseSweep(build(tuple(x.shape[1:]), 10, False), x, labels)
    for point in (0, 2, len(sweep.points) - 1):
        together = sweep.correct(point, LEVELS)
        assert point not in sweep._not_together
        sweep._not_together.add(point)
        one_by_one = sweep.correct(point, LEVELS)
        assert (together == one_by_one).double().mean() > 0.99, "but for rounding"


def test_a_network_that_vmap_cannot_compute_passes_level_by_level(digits: DataSet) -> None:
    class ThroughNumpy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(784, 16), nn.Linear(16, 10)

        def forward(self, x: Tensor) -> Any:
            return self.second(torch.from_numpy(self.first(x.flatten(1)).numpy(force=True).copy()))

    sweep = NoiseSweep(ThroughNumpy(), *digits_of(digits))
    found = sweep.correct(1, LEVELS)
    assert sweep._not_together == {1}
    assert found.shape == (4, 200)


class Viewing(nn.Module):
    """A network whose ``view`` fails where the channels lie last in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 4, 5, 3), nn.BatchNorm2d(4), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.norm(self.conv(x)).relu().view(len(x), -1))
        return logits


def test_a_network_that_needs_the_channels_first_keeps_them(digits: DataSet) -> None:
    x, labels = digits_of(digits)
    network = Viewing()
    sweep = NoiseSweep(network, x, labels)
    assert sweep._samples.is_contiguous()
    assert torch.equal(sweep.clean, network.eval()(x).argmax(-1) == labels)
    sweep.correct(1, LEVELS)
    assert not sweep._not_together


@pytest.mark.parametrize(("affine", "statistics"), [(True, True), (False, True), (True, False)])
def test_batch_norm_at_inference(digits: DataSet, affine: bool, statistics: bool) -> None:
    """Logits as of torch's BatchNorm, channels first or last; without statistics it has those of the batch."""
    x, labels = digits_of(digits)
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, affine=affine, track_running_stats=statistics)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 5, 3), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    for _ in range(20):
        network(x + 3)
    sweep = NoiseSweep(network, x, labels)
    assert sweep._samples.is_contiguous(memory_format=torch.channels_last)
    together = sweep._logits(1, sweep._samples, torch.zeros(3), 0)
    assert not sweep._not_together
    expected = network.eval()(x)
    torch.testing.assert_close(together, expected.expand(3, -1, -1), rtol=1e-4, atol=1e-5)


def test_kinds_of_noise(digits: DataSet) -> None:
    x, labels = digits_of(digits)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False))
    at_values = {
        kind: NoiseSweep(network, x, labels, kind=kind).correct(0, (0.0, 1e6))
        for kind in ("additive", "multiplicative", "quantisation", "uniform")
    }
    clean = NoiseSweep(network, x, labels).clean
    for correct in at_values.values():
        assert torch.equal(correct[0], clean)
        assert not torch.equal(correct[1], clean)
    blank = NoiseSweep(network, torch.zeros_like(x), labels, kind="multiplicative")
    assert torch.equal(blank.correct(0, (1e6,))[0], blank.clean), "multiplicative noise leaves zeros as they are"
    assert not torch.equal(at_values["uniform"], at_values["additive"])
    with pytest.raises(ValueError, match="kind 'mixed': allowed: additive, multiplicative, quantisation, uniform"):
        NoiseSweep(network, x, labels, kind="mixed")


def test_the_root_mean_square_is_that_of_the_arriving_values(digits: DataSet) -> None:
    x, labels = digits_of(digits)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    sweep = NoiseSweep(network, x, labels)
    assert sweep.rms == pytest.approx(
        [float(x.square().mean().sqrt()), float(network(x).detach().square().mean().sqrt())], rel=1e-5
    )


def test_a_network_is_evaluated_as_it_was_trained(digits: DataSet) -> None:
    """The statistics of BatchNorm, the mode and the hooks of the network stay; dropout is off at inference."""
    x, _ = digits_of(digits)
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    network = nn.Sequential(nn.Conv2d(1, 4, 5, 3), norm, nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 10))
    for _ in range(20):
        network(x + 3)
    expected = copy.deepcopy(network).eval()(x).argmax(-1)
    sweep = NoiseSweep(network, x, expected)
    assert sweep.clean.all()
    assert sweep.correct(1, (0.0,)).all()
    assert network.training
    assert norm.num_batches_tracked == 20
    assert not network[0]._forward_hooks


def test_noise_at_a_sum_that_is_written_as_a_statement(digits: DataSet) -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(784, 10), nn.Linear(784, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            y: Tensor = self.first(x)
            y.add_(self.second(x))
            return y

    x, _ = digits_of(digits)
    network = InPlace()
    sweep = NoiseSweep(network, x, network(x).argmax(-1), "products+residual")
    assert [point.name for point in sweep.points] == ["input", "first", "second", "sum"]
    small, large = sweep.correct(3, (0.0, 1e4))
    assert small.all()
    assert large.double().mean() < 0.3
