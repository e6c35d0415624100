"""Data sets with the layout of Google Speech Commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from walking_noise.data.dataset import DataSet
from walking_noise.data.speech.dimensions import COEFFICIENTS, FRAMES
from walking_noise.data.speech.keywords import KEYWORDS, class_names
from walking_noise.data.speech.recordings import Recordings
from walking_noise.data.transform import Transform
from walking_noise.errors import refused
from walking_noise.user_cache import user_cache


@dataclass(frozen=True, eq=False)
class SpeechCommands:
    """Data set of recordings of words, some of which are keywords.

    Features and waveforms are cached in the folder ``computed`` next to the folder of the recordings, or in the user's
    cache directory if the former is not writable.
    """

    name: str  # the value of ``data.name`` that selects this data set
    folder: Path  # of the recordings, relative to the root folder of all data sets
    download: Callable[[Path], None]  # downloads the folder into the given root folder

    shape = (1, COEFFICIENTS, FRAMES)
    transforms = ("release", "fresh", "none")
    takes_keywords = True
    package = None

    @property
    def downloaded(self) -> tuple[Path, ...]:
        """The folder of a download, relative to the root folder of all data sets."""
        return (self.folder,)

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The number of classes: the keywords, silence and unknown."""
        return len(class_names(keywords))

    def locate(self, root: Path) -> Recordings:
        """The recordings below the root folder of all data sets."""
        return Recordings(root / self.folder)

    def read(self, folder: Path, transform: str, validation: str, keywords: tuple[str, ...] | None) -> DataSet:
        """The data set in memory; features and waveforms are computed if they are not cached."""
        from walking_noise.data.feature_cache import cached_tensors
        from walking_noise.data.speech.background import Background
        from walking_noise.data.speech.computed_features import compute
        from walking_noise.data.speech.mfcc import VERSION
        from walking_noise.data.speech.speech_split import class_weights
        from walking_noise.data.speech.speech_transforms import FreshNoise, StoredFeatures

        recordings, classes = Recordings(folder), class_names(keywords)
        for word in keywords or KEYWORDS:
            if word not in recordings.words:
                raise refused("data.keywords", word, f"there is no recording of it in {folder}")
        options = {"transform": transform, "validation": validation}
        tensors, checksum = cached_tensors(
            f"{self.name}-{_digest(VERSION, options, classes, list(recordings.state()))}",
            (folder.parent / "computed", user_cache()),
            lambda: compute(recordings, classes, **options),
        )
        computed: Transform = StoredFeatures()
        if transform == "fresh":
            computed = FreshNoise(Background(tensors.pop("sound"), tensors.pop("lengths")))
        weights = class_weights(tensors["train_labels"], classes)
        return DataSet(self.name, len(classes), computed, **tensors, checksum=checksum, class_weights=weights)


def _digest(*values: object) -> str:
    """Digest of the values that determine the cached tensors."""
    return hashlib.blake2b(json.dumps(values).encode(), digest_size=10).hexdigest()
