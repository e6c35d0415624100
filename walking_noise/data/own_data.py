"""Data set of the user's own project: a function that returns it, and the shape of its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from walking_noise.data.data_files import Files
from walking_noise.data.dataset import DataSet, checksum
from walking_noise.data.transform import Transform, gather
from walking_noise.errors import DataMissing, reason

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Load = TypeVar("Load", bound=Callable[[str], Any])


def own_data(shape: tuple[int, ...], classes: int) -> Callable[[Load], Load]:
    """Decorator of the function that a setting ``data.name: my_package.module:load`` names.

    The function gets the setting ``data.validation`` and returns two :class:`torch.utils.data.Dataset`, for training
    and for validation. Their items are a sample, a float32 tensor, or uint8 as a part of 255, and a label in
    0 … classes - 1. Each item is read once, before the training: random augmentation would be the same in all epochs.

    Parameters
    ----------
    shape
        Shape of a sample, such as (channels, height, width). Grids are planned and added without the data.
    classes
        Number of classes.
    """

    def mark(load: Load) -> Load:
        vars(load)["own_data"] = tuple(shape), classes
        return load

    return mark


@dataclass(frozen=True)
class Unchanged:
    """Transform that changes nothing."""

    augments = False

    def draw(self, samples: int, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def prepare(self, stored: Tensor) -> Tensor:
        return stored

    def training_inputs(self, prepared: Tensor, samples: Tensor, drawn: Tensor | None) -> Tensor:
        return gather(prepared, samples)

    def validation_inputs(self, stored: Tensor) -> Tensor:
        return stored


@dataclass(frozen=True, eq=False)
class OwnData:
    """Data set that a function of the user's own project loads; the attributes are those of the other data sets."""

    name: str
    shape: tuple[int, ...]
    classes: int
    load: Callable[[str], Any]

    transforms: Mapping[str, Transform]
    downloaded = ()
    download = None
    package = None
    takes_keywords = False

    @classmethod
    def of(cls, name: str, load: Any) -> OwnData:
        """The data set of a function; raise ValueError if it is not decorated."""
        marks = getattr(load, "own_data", None)
        if marks is None or not callable(load):
            raise ValueError("it is no function decorated with walking_noise.data.own_data(shape, classes)")
        shape, classes = marks
        return cls(name, shape, classes, load, {"release": Unchanged()})

    def count_classes(self, keywords: tuple[str, ...] | None) -> int:
        """The number of classes."""
        return self.classes

    def locate(self, root: Path) -> Files:
        """No files: the function finds its own."""
        return Files(root, {})

    def read(self, folder: Path, transform: str, validation: str, keywords: tuple[str, ...] | None) -> DataSet:
        """The data set in memory; raise :class:`DataMissing` if its function fails or returns something else."""
        try:
            train, held_out = self.load(validation)
            tensors = (*_tensors(train), *_tensors(held_out))
        except Exception as error:
            raise DataMissing(f"data set {self.name}: its function failed ({reason(error)})") from error
        for samples, labels in (tensors[:2], tensors[2:]):
            if labels.dim() != 1 or not 0 < len(labels) == len(samples):
                found = f"{len(samples)} samples and labels of shape {tuple(labels.shape)}"
                raise DataMissing(f"data set {self.name}: its function returns {found}; one label for each sample")
            if not samples.isfinite().all():
                raise DataMissing(f"data set {self.name}: its function returns samples that are not finite")
            if tuple(samples.shape[1:]) != self.shape:
                found = f"samples of shape {tuple(samples.shape[1:])}, not {self.shape} as in own_data"
                raise DataMissing(f"data set {self.name}: its function returns {found}")
            if not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
                raise DataMissing(f"data set {self.name}: its function returns labels outside 0..{self.classes - 1}")
        return DataSet(self.name, self.classes, self.transforms[transform], *tensors, checksum(*tensors))


def _tensors(samples: Any) -> tuple[Tensor, Tensor]:
    """All samples of a torch data set, float32 ``(n, …)``, and their labels, int64 ``(n,)``."""
    import torch
    from torch.utils.data import TensorDataset

    if type(samples) is TensorDataset:  # a subclass may change its items
        x, y = samples.tensors
    else:
        items = [samples[index] for index in range(len(samples))]
        x = torch.stack([torch.as_tensor(sample) for sample, _ in items])
        y = torch.tensor([int(label) for _, label in items])
    x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    return x.contiguous(), y.to(torch.int64).contiguous()
