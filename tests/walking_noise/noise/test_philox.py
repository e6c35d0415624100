"""Counter-based draws: published answers of Philox, accuracy of Box-Muller, statistics of both."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.walking_noise.noise.noise_reference import WORD, box_muller, gaussian, philox, words
from walking_noise.reproducibility import stream_key

DRAWS = 400_000
SIGMAS = 5.0


def in_hex(text: str) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(int(word, 16)) for word in text.split())


@pytest.mark.parametrize(
    ("counter", "keys", "answer"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (" ".join(["ffffffff"] * 4), "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_the_known_answers_of_random123(counter: str, keys: str, answer: str) -> None:
    """Known answers of philox4x32 with 10 rounds, from the file kat_vectors of Random123."""
    c0, c1, c2, c3 = in_hex(counter)
    k0, k1 = in_hex(keys)
    assert philox((c0, c1, c2, c3), (k0, k1)) == in_hex(answer)


def test_the_words_of_a_negative_number_are_those_of_its_bits() -> None:
    low, high = words(torch.tensor(-2))
    assert (int(low), int(high)) == (WORD - 1, WORD)


def word_pairs() -> tuple[Tensor, Tensor]:
    """Random words, the ends of the range, and the angles at the boundaries of quadrants and polynomials."""
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randint(0, 2**32, (2, 200_000), generator=generator)
    ends = torch.cat([torch.arange(500), WORD - torch.arange(500)])
    around = torch.cat([(eighth * 2**29 + torch.arange(-250, 250)) % 2**32 for eighth in range(8)])
    return torch.cat([u, ends, u[:4000]]), torch.cat([v, v[:1000], around])


def test_draws_are_close_to_those_of_exact_functions() -> None:
    """The exact functions are computed in float64 from the same uniform float32 numbers."""
    u, v = word_pairs()
    radius = torch.sqrt(-2 * torch.log((u.float() * 2.0**-32 + 2.0**-33).double()))
    angle = v.double() * (2 * math.pi / 2**32)
    for draw, exact in zip(box_muller(u, v), (radius * torch.cos(angle), radius * torch.sin(angle)), strict=True):
        assert draw.dtype == torch.float32
        error = (draw.double() - exact).abs()
        assert float((error - 4e-7 * exact.abs()).max()) < 1e-14


def test_the_largest_and_the_smallest_draw_are_finite() -> None:
    (largest, _), (smallest, _) = (box_muller(torch.tensor([word]), torch.tensor([0])) for word in (0, WORD))
    assert float(largest) == pytest.approx(math.sqrt(66 * math.log(2)))
    assert float(smallest) == 0


def draws(seed: int = 0, stream: str = "training noise", term: int = 0, step: tuple[int, ...] = (0,)) -> Tensor:
    bits = (stream_key(seed, stream) ^ 1 << 63) - (1 << 63)
    return gaussian(torch.tensor([bits]), DRAWS, term, torch.tensor(step))[0]


@pytest.mark.parametrize("step", [(0,), (123_456,), (2**32 - 1,), (300, 39)])
def test_draws_are_gaussian(step: tuple[int, ...]) -> None:
    """Mean, standard deviation, skewness, kurtosis, and the share within 1, 2, 3 and 4 standard deviations."""
    e = draws(7, step=step).double()
    assert abs(float(e.mean())) < SIGMAS / math.sqrt(DRAWS)
    assert abs(float(e.square().mean().sqrt()) - 1) < SIGMAS / math.sqrt(2 * DRAWS)
    assert abs(float(e.pow(3).mean())) < SIGMAS * math.sqrt(15 / DRAWS)
    assert abs(float(e.pow(4).mean()) - 3) < SIGMAS * math.sqrt(96 / DRAWS)
    for bound in (0.01, 1, 2, 3, 4):
        share = math.erf(bound / math.sqrt(2))
        chance = math.sqrt(share * (1 - share) / DRAWS)
        assert abs(float((e.abs() < bound).double().mean()) - share) < SIGMAS * chance


def assert_independent(rows: Tensor) -> None:
    """No correlation between the rows of (rows, n), nor between their squares."""
    for values in (rows.double(), rows.double().square()):
        correlation = torch.corrcoef(values) - torch.eye(len(rows), dtype=torch.float64)
        assert float(correlation.abs().max()) < SIGMAS / math.sqrt(rows.shape[1])


def test_draws_are_independent_between_elements() -> None:
    """Within a group, from group to group, and from sample to sample."""
    for length in (4, 8, 100, 128):
        assert_independent(draws()[: DRAWS // length * length].view(-1, length).T)


def test_draws_are_independent_between_members_streams_terms_and_steps() -> None:
    members = [draws(seed) for seed in range(6)]
    terms = [draws(term=term) for term in range(1, 6)]
    steps = [draws(step=(step,)) for step in (1, 2, 3, 2**31)]
    blocks = [draws(stream="inference noise", step=step) for step in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert_independent(torch.stack([*members, *terms, *steps, *blocks]))


def test_draws_do_not_depend_on_their_number() -> None:
    keys, step = torch.tensor([1, -2, 3]), torch.tensor([5, 6])
    many = gaussian(keys, 1000, 7, step)
    for count in (1, 2, 3, 4, 5, 999):
        assert torch.equal(gaussian(keys, count, 7, step), many[:, :count])
    assert torch.equal(gaussian(keys[1:2], 1000, 7, step), many[1:2])


def test_the_second_number_of_a_step_index_defaults_to_zero() -> None:
    keys = torch.tensor([1])
    one, two = (gaussian(keys, 10, 0, torch.tensor(step)) for step in ([9], [9, 0]))
    assert torch.equal(one, two)
