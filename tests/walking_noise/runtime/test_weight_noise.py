"""Noise on weights and noise that is drawn per batch or chip: packs, keys, training and inference, refusals."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.walking_noise.parts import new_models
from tests.walking_noise.running import HERE, SingleRuns, numbers, run
from walking_noise import ConfigError, Result, data, train
from walking_noise.data import DataSet
from walking_noise.data.batches import TrainingBatches
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.evaluation.recalibration import recalibrated
from walking_noise.noise.audit import Audit
from walking_noise.noise.level_units import level_units
from walking_noise.noise.weight_noise import WeightNoise
from walking_noise.pack.layers.member_by_member import pass_on
from walking_noise.pack.pack import Pack
from walking_noise.reproducibility import stream_key
from walking_noise.runtime.planner import plan_trainings
from walking_noise.training.weight_bounds import WeightClip

WEIGHTS: dict[str, Any] = {"noise__target": "weights", "noise__std": 0.05}
ONLY: dict[str, Any] = {**WEIGHTS, "noise__in_training": False}
VARIANTS: list[dict[str, Any]] = [
    WEIGHTS,
    ONLY,
    {**WEIGHTS, "noise__unit": "range"},
    {**WEIGHTS, "noise__unit": "rms", "noise__per_channel": True, "noise__std": 0.5},
    {**WEIGHTS, "noise__unit": "absmax", "noise__redraw": "chip"},
    {**WEIGHTS, "noise__kind": "multiplicative", "noise__redraw": "chip", "noise__training_redraw": "batch"},
    {**WEIGHTS, "noise__kind": "uniform"},
    {"noise__target": "weights", "noise__kind": "quantisation", "noise__bits": 4},
    {"noise__target": "weights", "noise__kind": "mixed", "noise__amplitude": 0.1, "noise__ratio": 0.5},
    {**ONLY, "noise__redraw": "sample", "noise__unit": "range"},
    {**ONLY, "evaluation__recalibrate": True, "evaluation__noise_draws": 2},
    {"noise__std": 0.5, "noise__unit": "rms"},
    {"noise__std": 0.5, "noise__redraw": "batch"},
    {"noise__std": 0.5, "noise__redraw": "chip", "noise__unit": "rms"},
    {"noise__std": 0.5, "noise__kind": "multiplicative", "noise__redraw": "chip", "noise__in_training": False},
    {"noise__kind": "none", "training__weight_clip_std": 1.5},
    {"noise__std": 0.5},
]
MODELS = [
    pytest.param({"model__name": "mlp", "model__batch_norm": True}, id="mlp"),
    pytest.param({"model__name": "lenet5", "model__batch_norm": True}, id="lenet5", marks=pytest.mark.slow),
    pytest.param({"model__name": "residual", "model__batch_norm": True}, id="residual", marks=pytest.mark.slow),
    pytest.param({"model__name": "patch_transformer"}, id="patch_transformer", marks=pytest.mark.slow),
]

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture
def few_digits(fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every data set in this process by the few digits."""
    monkeypatch.setattr(data, "load", lambda *selection, **settings: fewer_digits)


@pytest.fixture(scope="module", autouse=True)
def added() -> Iterator[None]:
    with new_models():
        yield


@pytest.mark.parametrize("model", MODELS)
def test_a_pack_gives_the_numbers_of_single_runs(model: dict[str, Any]) -> None:
    """Each kind of noise beside all others, in random order and with two seeds."""
    usable = [one for one in VARIANTS if model.get("model__batch_norm") or "evaluation__recalibrate" not in one]
    configs = [run(**model, **one, seed=number % 2, training__epochs=1) for number, one in enumerate(usable)]
    configs = configs[::3] + configs[1::3] + configs[2::3]
    together = train(configs, **HERE)
    assert max(one.pack_size for one in together) > 4
    assert [numbers(one) for one in together] == SingleRuns()(configs)


def result(**settings: Any) -> Result:
    (found,) = train([run(**settings)], **HERE)
    return found


def test_the_gradient_of_noisy_weights_passes_to_the_clean_ones() -> None:
    config = run(**WEIGHTS)
    network = config.initial_network()
    pack, x = Pack([network]), torch.randn(1, 9, 1, 28, 28)
    noise, audit = WeightNoise([config], "training", pack), Audit(len(config.points), 1)
    weights = pack.weights()
    gradients = torch.autograd.grad(noise.forward(pack, (3,), audit, x, pass_on).square().sum(), list(weights.values()))
    assert audit.of(0)["std_add"][1::2] == pytest.approx([0.05] * 4, rel=0.08)
    assert audit.of(0)["std_add"][::2] == [None] * 4
    noisy = {f"{layer}.weight": pack.get_parameter(f"layers.{layer}.weight")[0].detach().clone() for layer in weights}
    generator = torch.Generator()
    for point, name in zip((1, 3, 5, 7), noisy, strict=True):
        generator.manual_seed(stream_key(0, "training noise", 3, point))
        noisy[name] += 0.05 * torch.empty(noisy[name].shape).normal_(generator=generator)
    noisy = {name: weight.requires_grad_() for name, weight in noisy.items()}
    torch.func.functional_call(network, noisy, x[0]).square().sum().backward()
    for gradient, weight in zip(gradients, noisy.values(), strict=True):
        torch.testing.assert_close(gradient[0], weight.grad)


def test_units_of_the_level() -> None:
    x = torch.tensor([[[[1.0, -3.0], [2.0, 2.0]]]])
    assert level_units(x, "rms").item() == pytest.approx((18 / 4) ** 0.5)
    assert level_units(x, "absmax").item() == 3.0
    assert level_units(x, "range").item() == 5.0
    assert level_units(x, "range", per_channel=True).tolist() == [[[[4.0], [0.0]]]]


@pytest.mark.parametrize("unit", ["absolute", "rms", "absmax", "range"])
def test_the_level_in_its_unit(unit: str) -> None:
    """The noisy weights differ from the clean ones by the level in the unit of the clean ones."""
    config = run(**WEIGHTS, noise__unit=unit)
    pack, noisy = Pack([config.initial_network()]), dict[str, Tensor]()

    class Recorder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = pack.layers

        def forward(self) -> Tensor:
            noisy.update({name: weight.detach().clone() for name, weight in self.named_parameters()})
            return torch.zeros(())

    WeightNoise([config], "training", pack).forward(Recorder(), (0,), None)  # type: ignore[arg-type]
    for layer, weight in pack.weights().items():
        expected = 0.05 if unit == "absolute" else 0.05 * level_units(weight.detach().unsqueeze(1), unit).item()
        difference = noisy[f"layers.{layer}.weight"] - weight.detach()
        assert difference.std().item() == pytest.approx(expected, rel=0.06)


def test_scaled_weights_give_the_same_accuracies(digits: DataSet) -> None:
    """A ReLU layer with twice the weights and twice the level, the next one with half of both: every answer is equal.

    Levels relative to the range of the weights stay as they are.
    """
    absolute = {"noise__target": "weights", "noise__point": "mapped", "noise__in_training": False}
    levels = [0.0, 0.1, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0]
    scaled_levels = [0.0, 0.2, 0.0, 0.05, 0.0, 0.0, 0.0, 0.0]
    ranges = {**ONLY, "noise__unit": "range", "noise__std": 0.2}
    plain = run().initial_network()
    optimizer = torch.optim.Adam(plain.parameters())
    for x, labels in (batch for epoch in range(15) for batch in TrainingBatches(digits, [0], 50).epoch(epoch)):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(plain(x[0]), labels[0]).backward()
        optimizer.step()
    scaled = copy.deepcopy(plain)
    with torch.no_grad():
        scaled.get_parameter("fc1.weight").mul_(2)
        scaled.get_parameter("fc1.bias").mul_(2)
        scaled.get_parameter("fc2.weight").mul_(0.5)
    configs = [run(**absolute, noise__std=levels), run(**ranges)]
    scaled_configs = [run(**absolute, noise__std=scaled_levels), run(**ranges)]
    one, other = (
        evaluate(Pack([each]), [0, 0], some, digits, 2) for each, some in ((plain, configs), (scaled, scaled_configs))
    )
    assert one == other
    assert 0.2 < one[0].accuracy < evaluate(Pack([plain]), [0], [run(noise__kind="none")], digits, 2)[0].accuracy


def test_a_chip_is_the_same_in_training_and_at_inference() -> None:
    """Trained on the chip on which it is evaluated, a network knows its errors; trained on another, it does not."""
    chip = {**WEIGHTS, "noise__redraw": "chip", "training__epochs": 30, "training__batch_size": 25}
    chip |= {"noise__std": 0.1, "training__learning_rate": 3e-3}
    own, other, batch = (
        result(**chip, **how) for how in ({}, {"noise__training_seed": 5}, {"noise__training_redraw": "batch"})
    )
    assert own.accuracy > other.accuracy + 0.2
    assert own.accuracy > batch.accuracy
    assert own.audit["inference"]["std_add"] == own.audit["training"]["std_add"]
    assert own.audit["training"]["draws"][1] == 30 * own.audit["inference"]["draws"][1]
    assert run(**chip).training_key != run(**chip, noise__seed=5).training_key
    on_chip_5 = {"noise__training_seed": 5, "noise__training_std": 0.3}
    assert len(plan_trainings([run(**chip, **on_chip_5, noise__seed=seed) for seed in range(3)])) == 1


def test_the_run_that_trains_a_shared_network_has_its_key() -> None:
    """Without noise at inference, whatever chip, seed, draws or executions the run is evaluated with."""
    chip = {**WEIGHTS, "noise__training_std": 0.1, "noise__redraw": "chip"}
    shared = [
        {**chip, "noise__seed": 5},
        {**chip, "noise__level_draws": "independent"},
        {**chip, "noise__seed": 5, "noise__training_seed": 3},
        {**WEIGHTS, "noise__training_std": 0.1, "noise__executions": 3, "noise__seed": 4},
        {**ONLY, "noise__executions": 3},
        {**ONLY, "noise__redraw": "chip", "noise__seed": 2},
        {"noise__std": 0.3, "noise__training_std": 0.1, "noise__redraw": "batch"},
        {"noise__std": 0.3, "noise__in_training": False, "distillation__soft_label_share": 0.5},
    ]
    for settings in shared:
        config = run(**settings)
        assert config.training_only().network_key == config.network_key
        assert config.training_only().training_noise_seed == config.training_noise_seed or not config.noisy_training
    one, other = (result(**chip, noise__seed=seed, noise__level_draws="shared") for seed in (5, 6))
    assert one.training_loss != other.training_loss
    assert one.training_loss == result(**chip, noise__seed=6, noise__training_seed=5).training_loss


def test_chips_differ_from_draws_of_a_batch_at_inference() -> None:
    """A chip has the same errors for all samples, also of other blocks and epochs."""
    only = {**ONLY, "noise__std": 0.1, "evaluation__noise_draws": 12}
    spreads = [
        statistics.stdev(result(**only, noise__redraw=redraw).draw_accuracies or ()) for redraw in ("chip", "sample")
    ]
    assert spreads[0] > spreads[1]


def test_recalibration_is_a_training_without_steps(digits: DataSet) -> None:
    """BatchNorm statistics are those of torch after the same mini-batches in training mode, without noise."""
    config = run(**{**ONLY, "noise__std": 0.0}, model__batch_norm=True)
    network = config.initial_network()
    pack = recalibrated(Pack([network]), [config], digits, 2)
    for x, _ in TrainingBatches(digits, [config.seed], config.training.batch_size).epoch(2):
        network.train()(x[0])
    for name in ("bn1", "bn2"):
        for statistic in ("running_mean", "running_var"):
            found = pack.get_buffer(f"layers.{name}.{statistic}")[0]
            torch.testing.assert_close(found, network.get_buffer(f"{name}.{statistic}"))
    assert not pack.training


def test_weights_are_clipped_to_multiples_of_their_deviation() -> None:
    configs = [run(noise__kind="none", training__weight_clip_std=multiple) for multiple in (1.0, None, 2.0)]
    pack = Pack([config.initial_network() for config in configs])
    before = {layer: weight.detach().clone() for layer, weight in pack.weights().items()}
    WeightClip(configs, pack)()
    for layer, weight in pack.weights().items():
        for multiple, clipped, plain in zip((1.0, math.inf, 2.0), weight, before[layer], strict=True):
            bound = multiple * plain.std(correction=0) if multiple < math.inf else math.inf
            assert torch.equal(clipped, plain.clamp(-bound, bound))
    assert not torch.equal(weight[0], before[layer][0])


def test_equivalent_settings_have_one_key() -> None:
    assert run(noise__std=0.5).run_key == run(noise__std=0.5, noise__redraw="sample").run_key
    assert run(**WEIGHTS).run_key == run(**WEIGHTS, noise__training_redraw="batch").run_key
    distinct = [
        run(noise__std=0.5),
        run(noise__std=0.5, noise__redraw="batch"),
        run(noise__std=0.5, noise__redraw="batch", noise__training_redraw="sample"),
        run(noise__std=0.5, noise__training_redraw="batch"),
        run(noise__std=0.5, noise__redraw="chip"),
        run(noise__std=0.5, noise__redraw="chip", noise__training_seed=1),
        run(noise__target="weights", noise__std=0.5),
    ]
    assert len({one.run_key for one in distinct}) == len({one.network_key for one in distinct}) == len(distinct)
    assert len({one.pack_key for one in distinct}) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**WEIGHTS, "noise__point": 2}, "allowed for noise on weights: 1 fc1, 3 fc2, 5 fc3, 7 fc4"),
        (
            {**WEIGHTS, "noise__std": [0.1] * 8, "noise__point": "mapped"},
            "needs level 0 at all points but 1 fc1, 3 fc2",
        ),
        ({**WEIGHTS, "noise__redraw": "sample"}, "weights are drawn for each batch or chip; set noise.training_redraw"),
        ({**WEIGHTS, "noise__kind": "multiplicative", "noise__gradient": "straight_through"}, "only on activations"),
        ({**WEIGHTS, "noise__kind": "multiplicative", "noise__unit": "rms"}, "no effect on the level of noise.kind"),
        ({**WEIGHTS, "noise__per_channel": True}, "only on a unit of noise on weights"),
        ({"noise__std": 0.5, "noise__unit": "rms", "noise__per_channel": True}, "only on a unit of noise on weights"),
        ({**WEIGHTS, "noise__training_seed": 3}, "only on noise in training that is drawn once per chip"),
        ({**ONLY, "noise__training_redraw": "chip"}, "no effect with noise.in_training: false"),
        ({"noise__kind": "none", "noise__target": "weights"}, "no effect without noise"),
        ({"noise__kind": "quantisation", "noise__bits": 4, "noise__redraw": "chip"}, "draws no random numbers"),
        ({**WEIGHTS, "model__batch_norm": True, "evaluation__recalibrate": True}, "set noise.training_std, too"),
        ({**ONLY, "evaluation__recalibrate": True}, "no effect without model.batch_norm"),
        (
            {**ONLY, "model__batch_norm": True, "evaluation__recalibrate": True, "noise__redraw": "sample"},
            "no batch to be calibrated on",
        ),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**settings)
