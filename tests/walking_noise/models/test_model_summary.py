"""Summaries of models, and the errors for models that cannot be trained in a pack."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from tests.walking_noise.parts import new_models
from walking_noise import ConfigError, RunConfig, models
from walking_noise.models import Architecture
from walking_noise.models.model_summary import ModelSummary, summarise
from walking_noise.models.noise_points import NoisePoint, injecting, points_in, with_noise_points
from walking_noise.models.point import points_of_document


class Own(nn.Module):
    """A model with a forward pass that is a function of the model and its input."""

    def __init__(self, forward: Callable[[Own, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.function = forward
        self.fc = nn.Linear(6, 3)
        self.point = NoisePoint("point")
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def summary(make: Callable[[], nn.Module], *inputs: int) -> ModelSummary:
    return summarise(with_noise_points(make()), inputs or (6,), 3)


def shared() -> nn.Module:
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(6, 3))


def with_tensor() -> nn.Module:
    model = Own(lambda self, x: self.point(self.fc(x)))
    model.scale = torch.ones(3)
    return model


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    # a model, and a part of the error message
    "no points": (lambda: nn.Bilinear(3, 3, 3), "Bilinear is not an nn.Sequential and has no NoisePoint"),
    "never": (lambda: Own(lambda self, x: self.fc(x)), "reaches noise point 'point' 0 times, not once"),
    "twice": (lambda: Own(lambda self, x: self.point(self.fc(self.point(x)))), "noise point 'point' 2 times, not once"),
    "not at inference": (
        lambda: Own(lambda self, x: self.point(self.fc(x)) if self.training else self.fc(x)),
        "noise point 'point' 0 times",
    ),
    "another order": (
        lambda: Own(
            lambda self, x: (
                self.fc(self.get_submodule("other")(self.point(x)))
                if self.training
                else self.fc(self.point(self.get_submodule("other")(x)))
            ),
            other=NoisePoint("other"),
        ),
        "in different orders in training and at inference",
    ),
    "one name": (
        lambda: nn.Sequential(NoisePoint("same"), nn.Linear(6, 3), NoisePoint("same")),
        "2 of its noise points are named 'same'",
    ),
    "a second input": (
        lambda: nn.Sequential(NoisePoint("input"), nn.Linear(6, 3)),
        "2 of its noise points are named 'input'",
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.1)), "draws random numbers"),
    "dropout in a function": (
        lambda: Own(lambda self, x: self.point(self.fc(nn.functional.dropout(x, 0.1, self.training)))),
        "draws random numbers",
    ),
    "noise of its own": (lambda: Own(lambda self, x: self.point(self.fc(x + torch.rand_like(x)))), "rand_like"),
    "random leak": (lambda: nn.Sequential(nn.Linear(6, 3), nn.RReLU()), "draws random numbers"),
    "a branch on a value": (
        lambda: Own(lambda self, x: self.point(self.fc(x)) if x.sum() > 0 else self.point(-self.fc(x))),
        r"depends on the values of a tensor \(aten\._local_scalar_dense\)",
    ),
    "a shape that depends on values": (
        lambda: Own(lambda self, x: self.point(self.fc(x[x.isfinite()].view(-1, 6)))),
        "depends on the values of a tensor",
    ),
    "dropout in attention": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (3, 2)), nn.TransformerEncoderLayer(2, 1, 2, 0.1, batch_first=True), nn.Flatten()
        ),
        "draws random numbers",
    ),
    "a layer twice": (shared, "some of its layers share weights"),
    "a tensor of all runs": (with_tensor, r"Own\.scale is a tensor that a pack cannot stack; register it as a buffer"),
    "other inputs": (lambda: nn.Sequential(nn.Linear(5, 3)), "forward pass fails for samples of 6: .*5"),
    "other classes": (lambda: nn.Sequential(nn.Linear(6, 4)), "does not return 3 logits for each sample"),
    "two outputs": (lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.GRU(3, 3)), "'1' is a tuple, not a tensor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_models_that_no_pack_can_train_raise_an_error_of_one_line(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as error:
        summary(make)
    assert "\n" not in str(error.value)


def test_dropout_with_probability_zero_is_allowed() -> None:
    encoder = nn.TransformerEncoderLayer(2, 1, 2, 0.0, batch_first=True)
    summary(lambda: nn.Sequential(nn.Unflatten(1, (3, 2)), encoder, nn.Flatten(), nn.Linear(6, 3)))
    summary(lambda: nn.Sequential(nn.Dropout(0.0), nn.Linear(6, 3)))


def names(found: ModelSummary) -> list[str]:
    assert [point.number for point in found.points] == list(range(len(found.points)))
    return [point.name for point in found.points]


def test_a_plain_sequence_has_points_after_its_layers_and_other_models_have_their_own() -> None:
    def block() -> nn.Module:
        return Own(lambda self, x: self.point(self.fc(x)))

    assert names(summary(lambda: nn.Sequential(nn.Linear(6, 3), nn.Sequential(nn.ReLU())))) == ["input", "0", "1"]
    assert names(summary(block)) == ["input", "point"]
    assert names(summary(lambda: nn.Sequential(block(), nn.Linear(3, 3), nn.ReLU()))) == ["input", "point"]
    assert names(summary(lambda: nn.Sequential(NoisePoint("first"), block()))) == ["input", "first", "point"]


def test_points_are_numbered_in_the_order_of_the_forward_pass() -> None:
    late = Own(
        lambda self, x: self.get_submodule("after")(self.fc(self.point(x))), after=NoisePoint("made last, reached last")
    )
    early = Own(lambda self, x: self.point(self.fc(self.get_submodule("before")(x))), before=NoisePoint("made last"))
    assert names(summary(lambda: late)) == ["input", "point", "made last, reached last"]
    assert names(summary(lambda: early)) == ["input", "made last", "point"]


def test_a_layer_without_weights_may_occur_twice() -> None:
    relu = nn.ReLU()
    sequence = with_noise_points(nn.Sequential(nn.Linear(6, 6), relu, nn.Linear(6, 3), relu))
    assert [point.name for point in points_in(sequence)] == ["input", "0", "1", "2", "3"]


@pytest.mark.parametrize("in_place", [False, True])
def test_points_after_batch_norm_are_detected_or_declared(in_place: bool) -> None:
    def transposed(self: Own, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.point(self.get_submodule("norm")(x.view(-1, 2, 3)).transpose(1, 2)).flatten(1))
        return y

    sequence = summary(lambda: nn.Sequential(nn.BatchNorm1d(6), nn.ReLU(in_place), nn.Linear(6, 3), nn.BatchNorm1d(3)))
    assert [point.after_batch_norm for point in sequence.points] == [False, True, False, False, True]
    by_hand = Own(transposed, norm=nn.BatchNorm1d(2))
    assert [point.after_batch_norm for point in summary(lambda: by_hand).points] == [False, False]
    by_hand.point = NoisePoint("point", after_batch_norm=True)
    assert [point.after_batch_norm for point in summary(lambda: by_hand).points] == [False, True]


def test_the_size_of_a_model() -> None:
    """Two linear layers of 6 and 3, a ReLU, and four noise points."""
    found = summary(lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)))
    assert found.parameters == 42 + 21
    assert found.activations == pytest.approx(6 + 2 * (6 + 6 + 3), abs=6)
    twice = summary(
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)), 1, 9, 9
    )
    assert twice.activations == pytest.approx(81 + 2 * (4 * 49 + 4 + 3), abs=100)


def followed(model: nn.Module) -> tuple[str | None, int, int]:
    """Layer, parameters and multiply-accumulates of the last point of a model."""
    last = summary(lambda: model).points[-1]
    return last.layer, last.parameters, last.multiply_accumulates


def test_a_point_follows_the_innermost_layer_that_returned_its_input() -> None:
    linear = ("fc", 21, 18)
    assert followed(Own(lambda self, x: self.point(self.fc(x)))) == linear
    assert followed(Own(lambda self, x: self.point(self.fc(x).view(-1, 3, 1).transpose(1, 2)).flatten(1))) == linear
    same = nn.Identity()
    assert followed(Own(lambda self, x: self.point(self.get_submodule("same")(self.fc(x))), same=same)) == linear
    assert followed(Own(lambda self, x: self.point(self.fc(x) + 1))) == (None, 0, 0)
    assert followed(Own(lambda self, x: self.point(self.fc(x).relu_()))) == (None, 0, 0)
    assert followed(Own(lambda self, x: self.fc(self.point(x)))) == (None, 0, 0)
    block = nn.Sequential(nn.Linear(6, 3), nn.ReLU(inplace=True))
    after_block = Own(lambda self, x: self.point(self.get_submodule("block")(x)), block=block)
    assert followed(after_block) == ("block.1", 0, 0)
    part = Own(lambda self, x: -self.fc(x))
    del part.point
    outer = Own(lambda self, x: self.point(self.get_submodule("part")(x)), part=part)
    assert followed(outer) == ("part", 21, 18)


def test_multiply_accumulates_of_convolutions_and_attention() -> None:
    grouped, transposed = nn.Conv2d(4, 8, 3, groups=2), nn.ConvTranspose2d(8, 2, 2, stride=2)
    layers = nn.Sequential(grouped, transposed, nn.Flatten(), nn.Linear(2 * 6 * 6, 3))
    points = summary(lambda: layers, 4, 5, 5).points
    expected = [0, 3 * 3 * 8 * 2 * 9, 3 * 3 * 8 * 2 * 4, 72 * 3]
    assert [point.multiply_accumulates for point in points] == expected

    def attended(self: Own, x: Tensor) -> Tensor:
        tokens = x.view(-1, 3, 2)
        y: Tensor = self.fc(self.point(self.get_submodule("attention")(tokens, tokens, tokens)[0]).flatten(1))
        return y

    attention = nn.MultiheadAttention(2, 1, batch_first=True)
    projections, products = 4 * 3 * 2 * 2, 2 * 3 * 3 * 2
    assert followed(Own(attended, attention=attention)) == ("attention", 4 * 2 * 2 + 4 * 2, projections + products)


def test_the_form_of_points_in_a_document() -> None:
    with new_models():
        for name, batch_norm in (("residual", True), ("patch_transformer", False), ("lenet5", True)):
            points = models.points(Architecture(name, (1, 28, 28), 10, batch_norm))
            assert points_of_document([point.to_document() for point in points]) == points
    assert points_of_document(["input", "fc1"]) is None
    assert points_of_document(None) is None


def test_two_batch_norms_side_by_side() -> None:
    def forward(self: Own, x: Tensor) -> Tensor:
        first, second = self.get_submodule("first")(x), self.get_submodule("second")(x)
        y: Tensor = self.fc(self.point(first) + second)
        return y

    model = Own(forward, first=nn.BatchNorm1d(6), second=nn.BatchNorm1d(6))
    assert [point.after_batch_norm for point in summary(lambda: model).points] == [False, True]


def test_the_points_of_a_built_model_are_those_of_its_summary() -> None:
    with new_models():
        for name, batch_norm in (("residual", True), ("patch_transformer", False)):
            network = models.build(Architecture(name, (1, 28, 28), 10, batch_norm))
            found = models.points(Architecture(name, (1, 28, 28), 10, batch_norm))
            assert {module.point for module in points_in(network)} == set(found)
            reached: list[int] = []
            with injecting(network, lambda point, x, reached=reached: (reached.append(point), x)[1]):  # type: ignore[misc]
                network.eval()(torch.zeros(1, 1, 28, 28))
            assert reached == [point.number for point in found] == list(range(len(found)))


@pytest.fixture
def added() -> Iterator[None]:
    with new_models():
        yield


@pytest.mark.usefixtures("added")
def test_settings_that_do_not_fit_the_model_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"model\.name: 'residual' .* residual has BatchNorm always"):
        RunConfig.from_dict({"model.name": "residual"})
    config = RunConfig.from_dict({"model.name": "residual", "model.batch_norm": True})
    with pytest.raises(ConfigError, match=r"has noise points 0\.\.8"):
        RunConfig.from_dict({"model.name": "residual", "model.batch_norm": True, "noise.point": 9, "noise.std": 1.0})
    assert [point.name for point in config.points if point.after_batch_norm] == ["block1.bn1", "block2.bn1"]
