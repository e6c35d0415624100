"""How far the trainings of a pack are, told as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from walking_noise.job import Epochs, EpochsDone


class Account:
    """The epochs of trainings, by network key: done, resumed and kept.

    Parameters
    ----------
    tell
        Given all of it, whenever :meth:`tell` is called.
    """

    def __init__(self, keys: Iterable[str], tell: Callable[[EpochsDone], None]) -> None:
        self._epochs = dict.fromkeys(keys, Epochs())
        self._tell = tell

    def note(self, key: str, **epochs: int) -> None:
        """Set what is given of :class:`walking_noise.job.Epochs`."""
        self._epochs[key] = self._epochs[key]._replace(**epochs)

    def tell(self) -> None:
        """Say how far the trainings are."""
        self._tell(EpochsDone(dict(self._epochs)))
