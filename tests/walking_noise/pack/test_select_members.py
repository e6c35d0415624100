"""Selection of members of a pack."""

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
    """Four networks, after one batch in training mode."""
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
def test_the_selected_pack_contains_the_given_members(pack: Pack, members: list[int], copied: bool) -> None:
    selected = select_members(pack, members)
    state = {name: stack[members] for name, stack in pack.stacked_state().items()}
    assert selected.stacked_state().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in selected.stacked_state().items())
    x = torch.rand(len(members), 5, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(selected(x, nothing), functional_call(pack, state, (x, nothing)))
    assert must_copy_weights(members) == copied
    for view, weight in zip(selected.parameters(), pack.parameters(), strict=True):
        assert (view.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()) != copied
        assert not view.requires_grad


def test_selection_does_not_change_the_pack(pack: Pack) -> None:
    before = {name: tensor.clone() for name, tensor in pack.stacked_state().items()}
    parameters = dict(pack.named_parameters())
    selected = select_members(pack, [1, 1])
    assert not selected.training
    selected.train()(torch.rand(2, 3, 1, 28, 28), nothing)
    assert dict(pack.named_parameters()) == parameters
    assert all(parameter.requires_grad for parameter in parameters.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pack.stacked_state().items())
