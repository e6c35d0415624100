"""Packed layers, compared with the plain torch layers of each member."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.profiler import profile

from walking_noise.pack.layers import (
    MemberByMember,
    PackedBatchNorm,
    PackedConv2d,
    PackedLinear,
    PackedMaxPool2d,
    SampleBySample,
    pack_layer,
)
from walking_noise.pack.stacking import expand_rows


class Doubled(nn.Linear):
    """A user-defined layer, derived from a layer with a special packed layer."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Attention(nn.Module):
    """Self-attention of a sequence."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x)[0]
        return y


class LastState(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(features, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.recurrent(x)[0]
        return y[:, -1]


class Centred(nn.Module):
    """A layer with a running mean of its inputs, which is assigned to a new tensor in every forward pass."""

    mean: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x - self.mean
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - x.mean(0)


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(features, features), nn.Linear(features, features)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.other(self.one(x))
        return y


IMAGE = (4, 8, 8)
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], type[nn.Module]]] = {
    # a function that returns the plain layer, the shape of a sample, the type of the packed layer
    "linear": (lambda: nn.Linear(12, 17), (12,), PackedLinear),
    "tiny linear": (lambda: nn.Linear(12, 7), (12,), PackedLinear),
    "linear, one output": (lambda: nn.Linear(13, 1), (13,), PackedLinear),
    "linear without bias": (lambda: nn.Linear(12, 7, bias=False), (12,), PackedLinear),
    "linear on rows": (lambda: nn.Linear(8, 7), IMAGE, nn.Module),
    "conv": (lambda: nn.Conv2d(4, 6, 3), IMAGE, PackedConv2d),
    "conv, stride, padding": (lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 1)), IMAGE, PackedConv2d),
    "conv, same size": (lambda: nn.Conv2d(4, 6, 3, padding="same"), IMAGE, PackedConv2d),
    "conv without bias": (lambda: nn.Conv2d(4, 6, 3, bias=False), IMAGE, PackedConv2d),
    "conv, groups": (lambda: nn.Conv2d(4, 6, 3, groups=2), IMAGE, MemberByMember),
    "conv, dilation": (lambda: nn.Conv2d(4, 6, 3, dilation=2), IMAGE, MemberByMember),
    "conv, reflected": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), IMAGE, MemberByMember),
    "batch norm": (lambda: nn.BatchNorm1d(12), (12,), PackedBatchNorm),
    "batch norm over time": (lambda: nn.BatchNorm1d(12, eps=0.1, momentum=0.3), (12, 5), PackedBatchNorm),
    "batch norm of images": (lambda: nn.BatchNorm2d(4), IMAGE, PackedBatchNorm),
    "batch norm, mean over all": (lambda: nn.BatchNorm2d(4, momentum=None), IMAGE, MemberByMember),
    "batch norm, not affine": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE, MemberByMember),
    "batch norm, no statistics": (lambda: nn.BatchNorm2d(4, track_running_stats=False), IMAGE, MemberByMember),
    "pool": (lambda: nn.MaxPool2d(2), IMAGE, PackedMaxPool2d),
    "pool, rest left over": (lambda: nn.MaxPool2d((3, 2)), IMAGE, PackedMaxPool2d),
    "pool, overlapping": (lambda: nn.MaxPool2d(3, stride=2), IMAGE, SampleBySample),
    "pool, padded": (lambda: nn.MaxPool2d(2, padding=1), IMAGE, SampleBySample),
    "flatten": (nn.Flatten, IMAGE, SampleBySample),
    "flatten in part": (lambda: nn.Flatten(2), IMAGE, SampleBySample),
    "relu": (nn.ReLU, IMAGE, nn.ReLU),
    "gelu": (nn.GELU, IMAGE, MemberByMember),
    "average pool": (lambda: nn.AvgPool2d(2), IMAGE, MemberByMember),
    "layer norm": (lambda: nn.LayerNorm(list(IMAGE)), IMAGE, MemberByMember),
    "group norm": (lambda: nn.GroupNorm(2, 4), IMAGE, MemberByMember),
    "prelu": (lambda: nn.PReLU(4), IMAGE, MemberByMember),
    "transposed conv": (lambda: nn.ConvTranspose2d(4, 2, 3), IMAGE, MemberByMember),
    "nested": (lambda: nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3), nn.ReLU()), IMAGE, MemberByMember),
    "of the user's own": (lambda: Doubled(12, 7), (12,), MemberByMember),
    "attention": (lambda: Attention(10, 2), (7, 10), MemberByMember),
    "encoder": (lambda: nn.TransformerEncoderLayer(10, 2, 15, 0.0, batch_first=True), (7, 10), MemberByMember),
    "recurrent": (lambda: LastState(5, 4), (7, 5), MemberByMember),
    "buffer replaced": (lambda: Centred(12), (12,), MemberByMember),
    "weights tied": (lambda: Tied(12), (12,), MemberByMember),
    "weights computed": (lambda: parametrizations.weight_norm(nn.Linear(12, 7)), (12,), MemberByMember),
    "in place": (lambda: nn.Sequential(nn.LeakyReLU(inplace=True), nn.Linear(12, 7)), (12,), MemberByMember),
}
RUNS, SAMPLES = 3, 5


def made(make: Callable[[], nn.Module], runs: int = RUNS) -> list[nn.Module]:
    """Layers whose every parameter is drawn at random, those too that torch starts at 0 or 1."""
    torch.manual_seed(0)
    layers = [make() for _ in range(runs)]
    with torch.no_grad():
        for parameter in (parameter for layer in layers for parameter in layer.parameters()):
            parameter.uniform_(-1, 1)
    return layers


def by_name(layer: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers under the names they have in a packed layer."""
    return {name.replace(".", "__"): tensor for name, tensor in layer.state_dict().items()}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CASES)
def test_a_packed_layer_equals_separate_layers(name: str) -> None:
    make, shape, expected = CASES[name]
    layers = made(make)
    packed = pack_layer(layers)
    assert isinstance(packed, expected)
    for training in (True, True, False):
        packed.train(training)
        x = torch.randn(RUNS, SAMPLES, *shape, requires_grad=True)
        y = packed(x)
        weights = torch.randn(y.shape)
        names = [parameter for parameter, _ in packed.named_parameters()]
        gradients = torch.autograd.grad((y * weights).sum(), [x, *packed.parameters()])
        for run, layer in enumerate(layers):
            layer.train(training)
            alone_x = x[run].detach().requires_grad_()
            alone_y = layer(alone_x.clone())
            torch.testing.assert_close(y[run], alone_y)
            alone = torch.autograd.grad((alone_y * weights[run]).sum(), [alone_x, *layer.parameters()])
            assert names == [parameter.replace(".", "__") for parameter, _ in layer.named_parameters()]
            for gradient, alone_gradient in zip(gradients, alone, strict=True):
                torch.testing.assert_close(gradient[run], alone_gradient)
            state = by_name(layer)
            for buffer, stack in packed.named_buffers():
                torch.testing.assert_close(stack[run], state[buffer])


FAST = [name for name, (_, _, expected) in CASES.items() if expected not in (MemberByMember, nn.Module)]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", FAST)
def test_a_fast_layer_equals_its_reference(name: str) -> None:
    make, shape, _ = CASES[name]
    layers = made(make)
    fast, reference = pack_layer(layers), MemberByMember(layers)
    fast.train()
    reference.train()
    x = torch.randn(RUNS, SAMPLES, *shape)
    torch.testing.assert_close(fast(x), reference(x))
    fast.eval()
    reference.eval()
    torch.testing.assert_close(fast(x), reference(x))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_shared_samples_give_the_same_results_as_copies(name: str, rows: int) -> None:
    make, shape, _ = CASES[name]
    packed = pack_layer(made(make, 4)).train()
    x = torch.randn(rows, SAMPLES, *shape)
    shared, own = expand_rows(4, packed(x)), packed(expand_rows(4, x).contiguous())
    torch.testing.assert_close(shared, own)
    parameters = list(packed.parameters())
    if parameters:
        weights = torch.randn(own.shape)
        gradients, expected = (torch.autograd.grad((y * weights).sum(), parameters) for y in (shared, own))
        torch.testing.assert_close(gradients, expected)


@pytest.mark.usefixtures("float64")
def test_packing_does_not_change_the_plain_layers() -> None:
    layers = made(lambda: nn.BatchNorm1d(3))
    packed = pack_layer(layers).train()
    packed(torch.randn(RUNS, SAMPLES, 3))
    assert all(bool((layer.get_buffer("running_mean") == 0).all()) for layer in layers)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][2] is PackedConv2d])
def test_the_grouped_convolution_of_gpus_equals_the_loop(name: str) -> None:
    make, shape, _ = CASES[name]
    layers = made(make)
    packed = PackedConv2d([layer for layer in layers if isinstance(layer, nn.Conv2d)])
    x = torch.randn(RUNS, SAMPLES, *shape)
    torch.testing.assert_close(packed._on_a_gpu(x), packed(x))


def test_pooling_on_a_gpu_does_not_copy_the_output_of_a_convolution() -> None:
    """On the meta device the layers compute as on a GPU."""
    with torch.device("meta"):
        conv, pool = pack_layer(made(lambda: nn.Conv2d(4, 6, 3))), pack_layer(made(lambda: nn.MaxPool2d(2)))
        x = conv(torch.empty(RUNS, SAMPLES, *IMAGE))
        with profile(acc_events=True) as done:
            y = pool(x)
    assert y.shape == (RUNS, SAMPLES, 6, 3, 3)
    names = {event.name for event in done.events()}
    assert "aten::max_pool2d_with_indices" in names
    assert not names & {"aten::clone", "aten::copy_", "aten::contiguous"}


CHAINS: dict[str, tuple[Callable[[], list[nn.Module]], tuple[int, ...]]] = {
    # layers in the order of the models, since the next layer determines the memory layout of the gradient
    "mlp": (lambda: [nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)], (784,)),
    "lenet5, linear": (
        lambda: [nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Linear(120, 84), nn.BatchNorm1d(84)],
        (256,),
    ),
    "lenet5, conv": (lambda: [nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)], (1, 28, 28)),
    "lenet5, second conv": (lambda: [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()], (6, 12, 12)),
    "cnn_s, linear": (lambda: [nn.Linear(1320, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 12)], (1320,)),
    # other layers with odd sizes, so that the members of a stack begin at unaligned addresses
    "one output": (lambda: [nn.Linear(33, 1)], (33,)),
    "spectral norm": (lambda: [parametrizations.spectral_norm(nn.Linear(13, 7))], (13,)),
    "attention": (lambda: [Attention(21, 3), nn.Flatten(), nn.Linear(231, 3)], (11, 21)),
    "encoder": (lambda: [nn.TransformerEncoderLayer(18, 3, 29, 0.0, batch_first=True)], (7, 18)),
    "recurrent": (lambda: [LastState(5, 7), nn.Linear(7, 1)], (11, 5)),
    "norms": (lambda: [nn.GroupNorm(3, 6), nn.InstanceNorm2d(6, affine=True, track_running_stats=True)], (6, 5, 5)),
    "other convolutions": (lambda: [nn.Conv2d(6, 6, 3, groups=6), nn.ConvTranspose2d(6, 5, 3)], (6, 7, 7)),
}


def bits(members: Sequence[nn.Sequential], x: Tensor) -> Iterator[bytes]:
    """Outputs, gradients and statistics of every member, to the last bit."""
    layers = [pack_layer(same) for same in zip(*members, strict=True)]
    x = x.clone().requires_grad_()
    y = x
    for layer in layers:
        y = layer.train()(y)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    weights = torch.linspace(-1, 1.1, y[0].numel()).view(y[0].shape)  # without zero, the sign of which can differ
    gradients = torch.autograd.grad((y * weights).sum(), [x, *parameters])
    buffers = [buffer for layer in layers for buffer in layer.buffers()]
    for member in range(len(members)):
        yield b"".join(t[member].detach().contiguous().numpy().tobytes() for t in (y, *gradients, *buffers))


@pytest.mark.parametrize(
    ("chain", "samples"),
    [(chain, samples) for chain in CHAINS for samples in (128, 44) if samples == 44 or "conv" not in chain],
)
def test_results_are_bitwise_equal_in_every_pack(chain: str, samples: int) -> None:
    make, shape = CHAINS[chain]
    torch.manual_seed(0)
    members = [nn.Sequential(*make()) for _ in range(9)]
    x = torch.randn(9, samples, *shape)
    alone = [next(bits([member], x[i : i + 1])) for i, member in enumerate(members)]
    different = {
        (first, last)
        for first, last in [(0, 2), (1, 3), (0, 3), (2, 6), (1, 6), (3, 9), (0, 7), (1, 9), (0, 9)]
        if list(bits(members[first:last], x[first:last])) != alone[first:last]
    }
    assert not different
    assert all(one != other for one, other in pairwise(alone))


ODD: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    *((partial(nn.Linear, inputs, outputs), (inputs,)) for inputs in (5, 50, 257) for outputs in (1, 3, 7, 64)),
    *((partial(nn.Conv2d, channels, 3, kernel), (channels, 9, 11)) for channels in (1, 2, 6) for kernel in (1, 3)),
]
"""Layers with members that begin at unaligned addresses in a stack."""


@pytest.mark.parametrize("samples", [1, 3, 5, 23])
def test_results_do_not_depend_on_the_alignment_of_a_member(samples: int) -> None:
    torch.manual_seed(0)
    for make, shape in ODD:
        members = [nn.Sequential(make()) for _ in range(5)]
        x = torch.randn(5, samples, *shape)
        alone = [next(bits([member], x[i : i + 1])) for i, member in enumerate(members)]
        for first, last in [(0, 2), (1, 4), (0, 5)]:
            assert list(bits(members[first:last], x[first:last])) == alone[first:last], (members[0], first, last)
