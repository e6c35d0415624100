"""Packs that see the weights of another one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from walking_noise import RunConfig
from walking_noise.pack.pack import Pack
from walking_noise.pack.select_members import must_copy_weights, select_members


@pytest.fixture(scope="module")
def pack() -> Pack:
    """Four networks, two of which have seen a batch."""
    settings = {"model.name": "lenet5", "model.batch_norm": True}
    pack = Pack([RunConfig.from_dict({**settings, "seed": seed}).initial_network() for seed in range(4)])
    pack(torch.rand(4, 3, 1, 28, 28), lambda point, x, member=None: x)
    return pack.eval()


def nothing(point: int, x: Tensor, member: int | None = None) -> Tensor:
    return x


@pytest.mark.parametrize(
    ("members", "copied"),
    [([2], False), ([1, 1, 1], False), ([0, 1, 2, 3], False), ([1, 2], False), ([2, 1], True), ([0, 3, 0], True)],
)
def test_it_is_the_pack_of_the_members_named(pack: Pack, members: list[int], copied: bool) -> None:
    standing = select_members(pack, members)
    state = {name: stack[members] for name, stack in pack.stacked_state().items()}
    assert standing.stacked_state().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in standing.stacked_state().items())
    x = torch.rand(len(members), 5, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(standing(x, nothing), functional_call(pack, state, (x, nothing)))
    assert must_copy_weights(members) == copied
    for seen, weight in zip(standing.parameters(), pack.parameters(), strict=True):
        assert (seen.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()) != copied
        assert not seen.requires_grad


def test_the_pack_itself_stays_as_it_is(pack: Pack) -> None:
    before = {name: tensor.clone() for name, tensor in pack.stacked_state().items()}
    parameters = dict(pack.named_parameters())
    standing = select_members(pack, [1, 1])
    assert not standing.training
    standing.train()(torch.rand(2, 3, 1, 28, 28), nothing)
    assert dict(pack.named_parameters()) == parameters
    assert all(parameter.requires_grad for parameter in parameters.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pack.stacked_state().items())
