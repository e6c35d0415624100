"""Look at one trained network: known falls, coverage of the intervals, the table of a real network, the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.midpoints import trained_network
from analysis.midpoints.flags import Flag
from analysis.midpoints.trained_network import MOST_LEVELS, estimates, look, sweep_point
from experiments.cli.app import main
from walking_noise import data, models
from walking_noise.evaluation.noise_sweep import NoiseSweep
from walking_noise.models import Architecture

CHANCE = 0.1


class KnownFall(NoiseSweep):
    """A sweep whose samples fail at known levels: log10 of them is logistic around that of the midpoint."""

    def __init__(self, midpoint: float, samples: int, seed: int, width: float = 0.15) -> None:
        random = np.random.default_rng(seed)
        self.fails_at = midpoint * 10 ** random.logistic(0, width, samples)
        self.lucky = random.random(samples) < CHANCE
        self.clean = torch.ones(samples, dtype=torch.bool)

    def correct(self, point: int, levels: Any, samples: int | None = None, seed: int = 0) -> Tensor:
        found = (np.asarray(levels)[:, None] < self.fails_at) | self.lucky
        return torch.from_numpy(found[:, :samples])


@pytest.mark.parametrize("midpoint", [1e-5, 0.3, 1.0, 7e4])
def test_a_fall_is_found_wherever_it_is(midpoint: float) -> None:
    swept, flag = sweep_point(KnownFall(midpoint, 4000, 0), 0, 1.0, CHANCE)
    found = estimates(swept, CHANCE)
    assert flag == ""
    assert found["mu"] == pytest.approx(midpoint, rel=0.05)
    assert found["loss_5"] == pytest.approx(midpoint * 10 ** (0.15 * np.log(0.05 / 0.95)), rel=0.15)
    for name, low, high in (("mu", "low", "high"), ("loss_1", "loss_1_low", "loss_1_high")):
        assert found[low] <= found[name] <= found[high]


def test_lower_levels_are_swept_where_the_fall_is_wide() -> None:
    narrow, wide = (sweep_point(KnownFall(1.0, 2000, 0, width), 0, 1.0, CHANCE)[0] for width in (0.1, 0.35))
    assert (len(narrow.level) < len(wide.level), narrow.level[1]) == (True, 1 / 32)
    assert wide.level[1] < 1 / 32
    found = estimates(wide, CHANCE)
    assert found["loss_1_low"] <= 10 ** (0.35 * np.log(0.01 / 0.99)) <= found["loss_1_high"]


def test_few_samples_have_an_interval() -> None:
    """Higher levels are swept as long as all may cost less than half."""
    for seed in range(10):
        found = estimates(sweep_point(KnownFall(1.0, 60, seed, 0.4), 0, 1.0, CHANCE)[0], CHANCE)
        assert found["low"] <= found["mu"] <= found["high"], seed


def test_steps_and_plateaus_end_the_sweep() -> None:
    class Steps(KnownFall):
        """Half of what there is to lose is lost at once, and nothing else below 1e6 times that level."""

        def __init__(self) -> None:
            super().__init__(1.0, 2000, 0)
            self.fails_at = np.where(np.arange(2000) < 1050, 1.0, 1e6)

    for sweep in (Steps(), KnownFall(1.0, 2000, 0, 1e-9)):
        swept, _ = sweep_point(sweep, 0, 1.0, CHANCE)
        assert len(swept.level) <= 1 + MOST_LEVELS + 5
        assert (np.diff(swept.level) > 0).all()


@pytest.mark.parametrize(("midpoint", "flag"), [(1e12, Flag.ABOVE_RANGE), (1e-12, Flag.BELOW_RANGE)])
def test_no_fall_within_the_range(midpoint: float, flag: Flag) -> None:
    swept, found = sweep_point(KnownFall(midpoint, 600, 0), 0, 1.0, CHANCE)
    assert found == flag
    assert np.isnan(estimates(swept, CHANCE)["mu"])


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.05, 0.15, 0.4])
def test_the_intervals_cover(width: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Falls from 95 to 5 % of what there is to lose within 0.29, 0.88 and 2.4 decades."""
    monkeypatch.setattr(trained_network, "RESAMPLES", 200)
    studies = 100
    losses = {"": 0.5, "loss_1_": 0.01, "loss_5_": 0.05}
    covered = dict.fromkeys(losses, 0)
    for seed in range(studies):
        swept, _ = sweep_point(KnownFall(1.0, 2000, seed, width), 0, 0.7 * 1.3 ** (seed % 7), CHANCE)
        found = estimates(swept, CHANCE)
        for name, loss in losses.items():
            true = 10 ** (width * np.log(loss / (1 - loss)))
            covered[name] += found[f"{name}low"] <= true <= found[f"{name}high"]
    assert min(covered.values()) / studies > 0.82, covered
    assert width < 0.1 or min(covered.values()) / studies > 0.87, covered


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A small network, trained by a plain loop, with its validation samples."""
    digits = data.load("mnist5k")
    x, y = digits.transform.validation_inputs(digits.train_samples), digits.train_labels
    torch.manual_seed(0)
    network = models.plain(Architecture("mlp", (1, 28, 28), 10, False))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(3):
        for batch in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
    return network, digits.transform.validation_inputs(digits.validation_samples), digits.validation_labels


def test_the_table_of_a_network(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, labels = trained
    seen: list[int] = []
    table = look(
        network, zip(x.split(300), labels.split(300), strict=True), progress=lambda done, total, name: seen.append(done)
    )
    assert list(table["point"]) == ["0 input", "1 fc1", "2 fc2", "3 fc3", "4 fc4"]
    assert seen == [1, 2, 3, 4, 5]
    assert table.attrs["accuracy"] > 0.85
    assert ((table["low"] <= table["mu"]) & (table["mu"] <= table["high"])).all()
    assert (table["loss_1"] < table["loss_5"]).all() & (table["loss_5"] < table["mu"]).all()
    np.testing.assert_allclose(table["mu_relative"], table["mu"] / table["rms"])


def test_processes_share_the_points(trained: tuple[nn.Module, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    network, x, labels = trained
    alone = look(network, [(x, labels)], samples=200)
    monkeypatch.setattr(trained_network, "usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    seen: list[int] = []
    shared = look(network, [(x, labels)], samples=200, progress=lambda done, total, name: seen.append(done))
    pd.testing.assert_frame_equal(shared, alone, check_flags=False)
    assert seen == [1, 2, 3, 4, 5]
    for point, sweep in alone.attrs["sweeps"].items():
        np.testing.assert_array_equal(shared.attrs["sweeps"][point].correct, sweep.correct)


def test_scaled_weights_scale_the_levels_and_not_the_relative_ones(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    """A ReLU layer with doubled weights and the next one with halved ones compute the same network."""
    network, x, labels = trained
    before = look(network, [(x, labels)], samples=400).set_index("point")
    scaled = models.plain(Architecture("mlp", (1, 28, 28), 10, False))
    scaled.load_state_dict(network.state_dict())
    with torch.no_grad():
        for parameter in scaled.get_submodule("fc1").parameters():
            parameter.mul_(2)
        scaled.get_parameter("fc2.weight").div_(2)
    after = look(scaled, [(x, labels)], samples=400).set_index("point")
    for point, sweep in before.attrs["sweeps"].items():
        np.testing.assert_array_equal(after.attrs["sweeps"][point].correct, sweep.correct)
    assert after["mu"]["1 fc1"] == pytest.approx(2 * before["mu"]["1 fc1"], rel=1e-9)
    pd.testing.assert_series_equal(after["mu_relative"], before["mu_relative"])


def test_every_kind_with_one_level(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, x, labels = trained
    additive, uniform, quantised = (
        look(network, [(x[:600], labels[:600])], kind=kind) for kind in ("additive", "uniform", "quantisation")
    )
    np.testing.assert_allclose(uniform["mu"], additive["mu"], rtol=0.3)
    assert (additive["low"] <= uniform["high"]).all()
    assert (uniform["low"] <= additive["high"]).all()
    assert not np.array_equal(uniform["mu"], additive["mu"])
    np.testing.assert_array_equal(quantised["mu_relative"], quantised["mu"])
    assert quantised["mu"].between(1 / 15, 2).all()
    with pytest.raises(AnalysisError, match="kind 'mixed': allowed: additive, multiplicative, quantisation, uniform"):
        look(network, [(x, labels)], kind="mixed")


def test_a_network_that_has_learned_nothing_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(AnalysisError, match=r"a constant answer 100\.0%"):
        look(network, [(torch.rand(200, 1, 28, 28), torch.zeros(200, dtype=torch.int64))])
    with pytest.raises(AnalysisError, match="no samples"):
        look(network, [])


def test_the_command(
    trained: tuple[nn.Module, Tensor, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": trained[0].state_dict()}, "weights.pt")
    call = ["look", "mlp", "--checkpoint", "weights.pt", "--data", "mnist5k"]
    assert main([*call, "--samples", "500"]) == 0
    shown = capsys.readouterr().out
    table = pd.read_csv("look/look.csv")
    weakest = table.sort_values("mu")["point"].iloc[0]
    assert shown.splitlines()[1].startswith(weakest)
    assert "not over trainings" in shown
    assert Path("look/look.png").stat().st_size > 10_000
    assert main([*call, "--batch-norm"]) == 1
    assert "the weights do not fit mlp" in capsys.readouterr().err
    torch.save(models.plain(Architecture("mlp", (1, 28, 28), 10, batch_norm=True)).state_dict(), "with_norm.pt")
    assert main([*call[:2], "--checkpoint", "with_norm.pt", "--data", "mnist5k"]) == 1
    assert capsys.readouterr().err.endswith("the checkpoint has BatchNorm layers: add --batch-norm\n")
    Path("broken.pt").write_bytes(b"no weights")
    assert main([*call[:2], "--checkpoint", "broken.pt", "--data", "mnist5k"]) == 1
    assert "broken.pt: cannot be read as saved weights" in capsys.readouterr().err
