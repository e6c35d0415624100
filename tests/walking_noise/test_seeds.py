"""Random streams as functions of the seed of a run."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from walking_noise.reproducibility import stream_generator, stream_key

SEED = st.integers(0, 2**63 - 1)
NUMBERS = st.lists(st.integers(0, 10**6), max_size=3)


def test_streams_have_different_keys() -> None:
    numbers = [(), *itertools.product(range(40)), *itertools.product(range(40), range(20))]
    keys = [
        stream_key(seed, stream, *indices)
        for seed in (0, 1, 2, 2**32, 2**63 - 1)
        for stream in ("order", "training noise", "inference noise")
        for indices in numbers
    ]
    assert len(set(keys)) == len(keys)


def test_generators_of_different_streams_have_different_seeds() -> None:
    """torch's CPU generator uses the lower 32 bits of its seed."""
    keys = [stream_key(seed, "training noise", step, 0) for seed in range(20) for step in range(200)]
    assert len({key & 0xFFFFFFFF for key in keys}) >= len(keys) - 1


@given(SEED, NUMBERS)
def test_keys_are_64_bit_numbers(seed: int, numbers: list[int]) -> None:
    assert 0 <= stream_key(seed, "order", *numbers) < 2**64


@given(SEED, NUMBERS)
def test_a_generator_is_a_function_of_seed_and_numbers(seed: int, numbers: list[int]) -> None:
    torch.manual_seed(1)
    first = torch.rand(4, generator=stream_generator(seed, "order", *numbers))
    torch.rand(100)
    again = torch.rand(4, generator=stream_generator(seed, "order", *numbers))
    other = torch.rand(4, generator=stream_generator(seed, "order", *numbers, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bits_of_neighbouring_keys_are_independent() -> None:
    keys = torch.tensor([[stream_key(0, "s", step) >> bit & 1 for bit in range(64)] for step in range(4000)])
    flips = (keys[1:] ^ keys[:-1]).double().mean(0)
    assert float((flips - 0.5).abs().max()) < 5 * 0.5 / 3999**0.5


def test_keys_do_not_change_between_versions() -> None:
    """All numbers of a run depend on the keys: change them only with the version."""
    assert stream_key(3, "training noise", 7, 2) == 14051948404704980168
    assert stream_key(0, "order") == 13777199685003051848
