"""Google Speech Commands, and what is laid out like it, as a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from walking_noise.data.data_files import user_cache
from walking_noise.data.data_source import Selection
from walking_noise.data.dataset import DataSet
from walking_noise.data.feature_cache import kept
from walking_noise.data.speech.background import Background
from walking_noise.data.speech.computed_features import compute
from walking_noise.data.speech.keywords import KEYWORDS, class_names
from walking_noise.data.speech.mfcc import COEFFICIENTS, FRAMES, VERSION
from walking_noise.data.speech.recordings import Recordings
from walking_noise.data.speech.speech_split import class_weights
from walking_noise.data.speech.speech_transforms import FreshNoise, StoredFeatures
from walking_noise.data.transform import Transform
from walking_noise.errors import refused


@dataclass(frozen=True, eq=False)
class SpeechCommands:
    """A :class:`walking_noise.data.Source` of recordings, of which some words are to be told from all others.

    Features and waveforms are kept in a file beside the folder, or in the user's cache if that cannot be written to.

    Attributes
    ----------
    name
        Its value of ``data.name``.
    folder
        Of the recordings, below the root of all data.
    download
        Fetches the folder below the root it is given.
    """

    name: str
    folder: Path
    download: Callable[[Path], None]

    shape = (1, COEFFICIENTS, FRAMES)
    transforms = ("release", "fresh", "none")
    takes_keywords = True
    package = None

    @property
    def downloaded(self) -> tuple[Path, ...]:
        """The folder of a download, below the root of all data."""
        return (self.folder,)

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The keywords, silence and unknown."""
        return len(class_names(keywords))

    def place(self, root: Path) -> Recordings:
        """The recordings below the root of all data."""
        return Recordings(root / self.folder)

    def read(self, folder: Path, selection: Selection) -> DataSet:
        """The data set in memory; what takes long is computed the first time."""
        recordings, classes = Recordings(folder), class_names(selection.keywords)
        for word in selection.keywords or KEYWORDS:
            if word not in recordings.words:
                raise refused("data.keywords", word, f"there is no recording of it in {folder}")
        how = {"transform": selection.transform, "validation": selection.validation}
        tensors, checksum = kept(
            f"{self.name}-{_digest(VERSION, how, classes, list(recordings.state()))}",
            (folder.parent / "computed", user_cache()),
            lambda: compute(recordings, classes, **how),
        )
        transform: Transform = StoredFeatures()
        if selection.transform == "fresh":
            transform = FreshNoise(Background(tensors.pop("sound"), tensors.pop("lengths")))
        weights = class_weights(tensors["train_labels"], classes)
        return DataSet(self.name, len(classes), transform, **tensors, checksum=checksum, class_weights=weights)


def _digest(*determining: object) -> str:
    return hashlib.blake2b(json.dumps(determining).encode(), digest_size=10).hexdigest()
