"""Training loop of a pack against a plain torch loop for each run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.walking_noise.noise.terms import drawn_terms
from walking_noise import RunConfig
from walking_noise.data import DataSet, ImageTransform
from walking_noise.data.batches import TrainingBatches
from walking_noise.models.noise_points import NoisePoint
from walking_noise.noise.injection import Injection
from walking_noise.training.member import LAST_EPOCHS, Member, TrainedNetwork
from walking_noise.training.trainer import PackTrainer, train_pack

CPU = torch.device("cpu")
EPOCHS = 3


class InDoublePrecision(ImageTransform):
    def normalise(self, images: Tensor) -> Tensor:
        return super().normalise(images).double()


def run(*settings: dict[str, Any], **more: Any) -> RunConfig:
    merged: dict[str, Any] = {"training.epochs": EPOCHS}
    for part in (*settings, more):
        merged |= part
    return RunConfig.from_dict(merged)


def noisy_forward(network: nn.Sequential, config: RunConfig, step: int, x: Tensor) -> Tensor:
    """A forward pass with the noise of one step, written out; gradients come from autograd."""
    injection = Injection([config], "training", CPU)
    for layer in network:
        x = layer(x)
        if not isinstance(layer, NoisePoint):
            continue
        for noise in injection.at_point[layer.point.number]:
            deviation, added = drawn_terms(injection, noise, layer.point.number, (step,), x.shape)
            factor = 1.0 if deviation is None else 1 + deviation
            term = 0.0 if added is None else added
            y = (x + term) * factor if config.noise.order == "add_first" else x * factor + term
            x = y if config.noise.gradient == "exact" else x + (y - x).detach()
    return x


def plain_training(config: RunConfig, data: DataSet) -> tuple[nn.Sequential, list[float]]:
    """The trained network of one run and its loss in every epoch, by the training loop of a torch tutorial."""
    network = config.initial_network().train()
    rate, decay = config.training.learning_rate, config.training.weight_decay
    adam = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=config.training.epochs)
    batches = TrainingBatches(data, [config.seed], config.training.batch_size)
    losses, step = [], 0
    for epoch in range(config.training.epochs):
        total = 0.0
        for x, y in batches.epoch(epoch):
            adam.zero_grad()
            loss = F.cross_entropy(noisy_forward(network, config, step, x[0]), y[0], data.class_weights)
            loss.backward()
            adam.step()
            if config.training.weight_clamp is not None:
                bound = config.training.weight_clamp
                for layer in network:
                    if isinstance(layer, nn.Linear | nn.Conv2d):
                        layer.weight.data.clamp_(-bound, bound)
            total += loss.item() * len(y[0])
            step += 1
        losses.append(total / len(data.train_labels))
        schedule.step()
    return network.eval(), losses


def network_of(config: RunConfig, trained: TrainedNetwork) -> nn.Sequential:
    """The plain network with a trained run's weights."""
    network = config.initial_network()
    state = {name.removeprefix("layers."): tensor for name, tensor in trained.state.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return network.eval()


RUNS: list[dict[str, Any]] = [
    {"noise.kind": "none", "seed": 1},
    {"noise.std": 0.3, "training.weight_decay": 2.0, "seed": 2},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "training.weight_clamp": 0.03, "seed": 3},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first", "seed": 4},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.gradient": "straight_through", "seed": 5},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.point": 3, "noise.in_training": False, "seed": 6},
]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch norm"])
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_pack_trains_like_plain_torch_loops(model: str, batch_norm: bool, fewer_digits: DataSet) -> None:
    rate = 1e-3 if model == "mlp" else 3e-3
    network = {
        "model.name": model,
        "model.batch_norm": batch_norm,
        "training.epochs": 2,
        "training.learning_rate": rate,
    }
    configs = [run(one, network) for one in (RUNS if model == "mlp" else RUNS[1:3])]
    data = dataclasses.replace(fewer_digits, transform=InDoublePrecision())
    x = data.transform.validation_inputs(data.validation_samples)
    for config, trained in zip(configs, train_pack(configs, data, CPU), strict=True):
        plain, losses = plain_training(config, data)
        assert trained.training_loss == pytest.approx(losses, rel=1e-7)
        with torch.no_grad():
            torch.testing.assert_close(network_of(config, trained)(x), plain(x), rtol=1e-5, atol=1e-6)
        magnitudes = {
            name: float(layer.weight.detach().abs().mean())
            for name, layer in plain.named_children()
            if isinstance(layer, nn.Linear | nn.Conv2d)
        }
        assert trained.mean_abs_weight == pytest.approx(magnitudes, rel=1e-7)


@pytest.mark.usefixtures("float64")
def test_class_weights_weight_the_loss_as_in_torch(fewer_digits: DataSet) -> None:
    configs = [run({"noise.kind": "none", "seed": 1}), run({"noise.std": 0.3, "seed": 2})]
    unweighted = dataclasses.replace(fewer_digits, transform=InDoublePrecision())
    weighted = dataclasses.replace(unweighted, class_weights=torch.linspace(0.01, 0.19, 10))
    for config, trained in zip(configs, train_pack(configs, weighted, CPU), strict=True):
        plain, losses = plain_training(config, weighted)
        assert trained.training_loss == pytest.approx(losses, rel=1e-7)
        assert trained.training_loss != pytest.approx(plain_training(config, unweighted)[1], rel=1e-3)
        x = weighted.transform.validation_inputs(weighted.validation_samples)
        with torch.no_grad():
            torch.testing.assert_close(network_of(config, trained)(x), plain(x), rtol=1e-5, atol=1e-6)


def test_training_learns(digits: DataSet) -> None:
    settings = {"training.epochs": 10, "training.learning_rate": 1e-2}
    for trained in train_pack([run(settings), run(settings, {"seed": 1})], digits, CPU):
        assert trained.training_loss[-1] < 0.6 < 1.5 < trained.training_loss[0]
        assert trained.evaluations[-1].accuracy > 0.7


@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_weights_are_clamped_run_by_run(model: str, fewer_digits: DataSet) -> None:
    bounds = [None, 0.02, 1.0, 0.01]
    configs = [
        run({"model.name": model, "model.batch_norm": True, "training.weight_clamp": bound, "seed": seed})
        for seed, bound in enumerate(bounds)
    ]
    for trained, bound in zip(train_pack(configs, fewer_digits, CPU), bounds, strict=True):
        largest = {name: float(tensor.abs().max()) for name, tensor in trained.state.items()}
        weights = {name for name in largest if name.endswith("weight") and ".bn" not in name}
        assert len(weights) == len(trained.mean_abs_weight)
        if bound in (0.02, 0.01):
            assert [largest[name] for name in weights] == pytest.approx([bound] * len(weights))
        else:
            assert min(largest[name] for name in weights) > 0.03
        assert largest["layers.bn1.weight"] > 0.9
        assert largest["layers.fc1.bias"] > 0.03


@pytest.mark.parametrize("epochs", [1, 2, LAST_EPOCHS, LAST_EPOCHS + 2])
def test_the_last_epochs_are_evaluated_and_all_of_them_for_a_curve(epochs: int, digits: DataSet) -> None:
    settings = {"training.epochs": epochs, "noise.std": 0.5}
    without, curve = train_pack([run(settings), run(settings, {"evaluation.curve": True})], digits, CPU)
    assert len(without.evaluations) == min(epochs, LAST_EPOCHS)
    assert len(curve.evaluations) == epochs
    assert curve.evaluations[-LAST_EPOCHS:] == without.evaluations
    assert [evaluation.audit is not None for evaluation in curve.evaluations] == [False] * (epochs - 1) + [True]


def test_a_run_of_two_epochs_is_not_the_start_of_a_longer_one(digits: DataSet) -> None:
    """The learning rate falls to 0 over all epochs of the run."""
    short, long = (train_pack([run({"training.epochs": epochs})], digits, CPU)[0] for epochs in (2, 4))
    assert short.training_loss[0] == long.training_loss[0]
    assert short.training_loss[1] != long.training_loss[1]


def test_callbacks_after_batches_and_epochs(digits: DataSet) -> None:
    calls: list[str] = []
    train_pack(
        [run(), run({"seed": 1})],
        digits,
        CPU,
        after_batch=lambda: calls.append("batch"),
        after_epoch=lambda epochs: calls.append(f"epoch {epochs}"),
    )
    evaluated = ["batch"] * 2  # blocks of the validation set
    assert calls == [call for epoch in (1, 2, 3) for call in (*["batch"] * 2, *evaluated, f"epoch {[epoch] * 2}")]


def test_an_exception_raised_after_a_batch_ends_the_training(digits: DataSet) -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pack([run()], digits, CPU, after_batch=stop)
    assert calls == 2


def test_the_global_random_numbers_are_unchanged(digits: DataSet) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train_pack([run({"noise.std": 0.5})], digits, CPU)[0]
    assert torch.equal(torch.rand(3), expected)
    second = train_pack([run({"noise.std": 0.5})], digits, CPU)[0]
    assert first.training_loss == second.training_loss


def test_members_that_cannot_share_steps_are_refused(digits: DataSet) -> None:
    one = Member(run({"seed": 1}))
    for other in (Member(run({"seed": 2}), epoch=1), Member(run({"training.learning_rate": 2e-3}))):
        with pytest.raises(ValueError, match="the same pack key and number of completed epochs"):
            PackTrainer([one, other], digits, CPU)


def test_nan_weights_affect_their_run_only(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [run({"seed": seed}) for seed in range(3)]
    healthy = train_pack(configs, digits, CPU)

    train_epoch = PackTrainer.train_epoch

    def with_nan(self: PackTrainer, after_batch: Callable[[], None]) -> None:
        if self.epoch == 1:
            for parameter in self.pack.parameters():
                parameter.data[1] = float("nan")
        train_epoch(self, after_batch)

    monkeypatch.setattr(PackTrainer, "train_epoch", with_nan)
    trained = train_pack(configs, digits, CPU)
    assert [one.diverged_epoch for one in trained] == [None, 2, None]
    assert [one.overflow_epoch for one in trained] == [None, None, None]
    assert trained[1].evaluations[-1].nonfinite == 1
    assert trained[1].evaluations[-1].accuracy == digits.chance_accuracy
    for member in (0, 2):
        assert trained[member].training_loss == healthy[member].training_loss
        assert trained[member].evaluations == healthy[member].evaluations
