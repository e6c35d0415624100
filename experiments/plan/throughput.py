"""Throughput of devices as ``walking-noise bench --save`` measured it, in a JSON file in the user's cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, TypeAdapter

from experiments.errors import UserError
from experiments.terminal.output_file import write_whole
from walking_noise import RunConfig
from walking_noise.pack.gpu.choices import Entry, measurements_file, read_choices, read_measurements

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Kind:
    """Kind of pack: the settings that decide the time of a training step. ``inputs`` is the shape of a sample."""

    inputs: tuple[int, ...]
    classes: int
    model: str
    batch_norm: bool
    batch_size: int

    @classmethod
    def of(cls, config: RunConfig) -> Kind:
        """The kind of pack that a run trains in."""
        model, training = config.model, config.training
        return cls(tuple(config.data.shape), config.data.classes, model.name, model.batch_norm, training.batch_size)

    def __str__(self) -> str:
        norm = " with BatchNorm" if self.batch_norm else ""
        return f"{self.model}{norm} on {'×'.join(map(str, self.inputs))}, batches of {self.batch_size}"


@dataclass(frozen=True)
class Rate:
    """Speed of one kind of pack, measured while all processes of the device are busy.

    The seconds are those of the pack, divided by ``pack_size``.
    """

    kind: Kind
    pack_size: int  # number of networks in the pack
    step_seconds: Seconds  # of one training step
    sample_seconds: Seconds  # of the evaluation of one sample
    spread: float  # (slowest - fastest) / median of the step times of the rounds


@dataclass(frozen=True)
class Device:
    """Measured speeds of a device; ``processes`` is the number of packs that it trains in parallel.

    Workers on a GPU choose the alternatives of ``layers`` (:mod:`walking_noise.pack.gpu.choices`).
    """

    name: str
    processes: Annotated[int, Field(validation_alias=AliasChoices("processes", "lanes"))]  # the key of older files
    rates: tuple[Rate, ...]
    layers: tuple[Entry, ...] = ()

    def rate(self, kind: Kind) -> Rate | None:
        """The speed of a kind of pack; None if it was not measured."""
        return next((rate for rate in self.rates if rate.kind == kind), None)


_DEVICES = TypeAdapter(dict[str, Device])
"""The content of a file: the devices by name."""


def default_file() -> Path:
    """The file in the user's cache from which workers also read the choice of layers."""
    return measurements_file()


def read(file: Path) -> dict[str, Device]:
    """The measured devices by name; empty if there is no such file."""
    return read_measurements(file, _DEVICES)


def known(file: Path | None) -> list[Device]:
    """The measured devices of ``file``, which must exist, or of the default file if ``file`` is None."""
    if file is not None and not file.exists():
        raise UserError(f"{file}: there is no such file; `walking-noise bench --save` writes one")
    return list(read(file or default_file()).values())


def save(file: Path, device: Device) -> None:
    """Add the measurements of a device to a file.

    The file keeps other devices, and of the same device the rates for other kinds of packs and the layers of other
    shapes. If the number of processes of the device has changed, its old rates are dropped, as they are not comparable.
    """
    saved = read(file)
    if device.name in saved:
        by_shape = {layer.shape: layer for layer in (*saved[device.name].layers, *device.layers)}
        device = replace(device, layers=tuple(by_shape.values()))
    if device.name in saved and saved[device.name].processes == device.processes:
        by_kind = {rate.kind: rate for rate in (*saved[device.name].rates, *device.rates)}
        device = replace(device, rates=tuple(by_kind.values()))
    write_whole(file, _DEVICES.dump_json({**saved, device.name: device}, indent=1).decode())
    read_choices.cache_clear()
