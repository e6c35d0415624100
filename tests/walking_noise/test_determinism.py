"""Settings under which a network gives the same numbers everywhere."""

from __future__ import annotations

import torch

from walking_noise.determinism import reproducibly


def seen() -> tuple[int, bool, bool]:
    return torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic


def test_settings_hold_within_and_are_put_back() -> None:
    torch.set_num_threads(2)
    before = seen()
    with reproducibly():
        assert seen() == (1, False, True)
    assert seen() == before
    torch.set_num_threads(1)
