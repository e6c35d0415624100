"""Choice between the alternatives for a layer on a GPU: the fastest one in the table of measurements.

``walking-noise bench --save`` writes the table, one entry for each model of GPU and shape of a layer. The shape is that
of one member: the choice, and with it the numbers of a run, does not depend on the size of its pack. A layer without an
entry is computed by the default alternative. Nothing is measured while runs train.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from walking_noise.errors import WalkingNoiseError
from walking_noise.user_cache import user_cache

if TYPE_CHECKING:  # the commands that only read measurements start without torch
    import torch
    from torch import Tensor

ALTERNATIVES = {"convolution": ("grouped", "unfold", "triton"), "image_layers": ("separate", "fused")}
"""Operation -> its alternatives; the first is the default."""


@dataclass(frozen=True)
class LayerShape:
    """Operation of a layer and the shape of it for one member; attributes that an operation does not have are 0."""

    operation: str  # a key of :data:`ALTERNATIVES`
    inputs: tuple[int, int, int, int]  # samples, channels, height, width
    dtype: str
    filters: int = 0
    kernel: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (0, 0)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, right, top, bottom
    batch_norm: bool = False

    @classmethod
    def of(cls, operation: str, x: Tensor, **more: object) -> LayerShape:
        """The shape of an operation on inputs ``(K, B, channels, height, width)``, or fewer rows."""
        return cls(operation, tuple(x.shape[1:]), str(x.dtype).removeprefix("torch."), **more)  # type: ignore[arg-type]

    @property
    def without_samples(self) -> LayerShape:
        """The shape without the number of samples, which differs in the last mini-batch and in evaluations."""
        return replace(self, inputs=(0, *self.inputs[1:]))

    def __str__(self) -> str:
        text = f"{self.operation} of {'×'.join(map(str, self.inputs))} {self.dtype}"
        if self.operation == "convolution":
            sizes = (self.kernel, self.stride, self.padding)
            kernel, stride, padding = ("×".join(map(str, size)) for size in sizes)
            return f"{text}, {self.filters} filters {kernel}, stride {stride}, padding {padding}"
        return text + (" with BatchNorm" if self.batch_norm else "")


def _with_known_alternatives(layer: MeasuredLayer) -> MeasuredLayer:
    known = ALTERNATIVES.get(layer.shape.operation, ())
    for name in (layer.chosen, *layer.seconds):
        if name not in known:
            raise ValueError(f"{name!r} is no alternative for {layer.shape.operation!r}")
    return layer


@dataclass(frozen=True)
class MeasuredLayer:
    """Entry of the table: the measured alternatives for one shape of a layer, and the chosen one, the fastest."""

    shape: LayerShape
    seconds: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]  # of forward and backward pass, by name
    chosen: str


Entry = Annotated[MeasuredLayer, AfterValidator(_with_known_alternatives)]
"""An entry that is checked when it is read."""


@dataclass(frozen=True)
class _Device:
    """Part of the measurements of a device that this module reads."""

    layers: tuple[Entry, ...] = ()


_DEVICES = TypeAdapter(dict[str, _Device])
Choices = Mapping[LayerShape, str]
Measured = TypeVar("Measured")


def measurements_file() -> Path:
    """The file of all measurements of ``walking-noise bench --save``: ``throughput.json`` in the user's cache."""
    return user_cache() / "throughput.json"


def read_measurements(file: Path, content: TypeAdapter[dict[str, Measured]]) -> dict[str, Measured]:
    """The measurements in a file by device; empty if there is no such file.

    Raise :class:`WalkingNoiseError` with one line if the file cannot be read.
    """
    try:
        return content.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise WalkingNoiseError(f"{file}: {error.strerror}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        reason = ": ".join([*map(str, fault["loc"]), fault["msg"]])
        raise WalkingNoiseError(
            f"{file}: no measurements can be read ({reason}); remove the file, and measure again with "
            "`walking-noise bench --save`"
        ) from None


@cache
def read_choices(file: Path) -> Mapping[str, Choices]:
    """The choices by the name of the GPU; empty if there is no such file. A process reads a file once.

    Raise :class:`WalkingNoiseError` with one line if the file is damaged.
    """
    return {
        name: {layer.shape: layer.chosen for layer in device.layers}
        for name, device in read_measurements(file, _DEVICES).items()
    }


def choices(device: torch.device) -> Choices:
    """The choices of a device; empty for all devices but GPUs."""
    if device.type != "cuda":
        return {}
    import torch

    return read_choices(measurements_file()).get(torch.cuda.get_device_name(device), {})


def why_table_unusable(device: torch.device) -> str | None:
    """The reason why the choices of this device cannot be read; None if they can."""
    try:
        choices(device)
    except WalkingNoiseError as error:
        return str(error)
    return None


def chosen(shape: LayerShape, device: torch.device) -> str:
    """The alternative by which a layer is computed on a device."""
    if (shapes := _asked.get()) is not None:
        shapes.append(shape)
    return choices(device).get(shape, ALTERNATIVES[shape.operation][0])


_asked: ContextVar[list[LayerShape] | None] = ContextVar("asked", default=None)


@contextmanager
def recorded_shapes() -> Iterator[list[LayerShape]]:
    """Record in a list the shapes for which :func:`chosen` is called within the block."""
    shapes: list[LayerShape] = []
    token = _asked.set(shapes)
    try:
        yield shapes
    finally:
        _asked.reset(token)
