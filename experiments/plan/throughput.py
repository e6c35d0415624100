"""How fast devices train, as ``walking-noise bench --save`` measured it; a file in the user's cache."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.terminal.output_file import write_whole
from walking_noise import RunConfig


@dataclass(frozen=True)
class Kind:
    """What decides how long a step takes: the networks of a pack, and how many samples they see at once."""

    inputs: tuple[int, ...]
    classes: int
    model: str
    batch_norm: bool
    batch_size: int

    @classmethod
    def of(cls, config: RunConfig) -> Kind:
        model, training = config.model, config.training
        return cls(tuple(config.data.shape), config.data.classes, model.name, model.batch_norm, training.batch_size)

    def __str__(self) -> str:
        norm = " with BatchNorm" if self.batch_norm else ""
        return f"{self.model}{norm} on {'×'.join(map(str, self.inputs))}, batches of {self.batch_size}"


@dataclass(frozen=True)
class Rate:
    """The speed of one kind of pack, with every lane of the device at work.

    Attributes
    ----------
    pack_size
        Networks trained as one.
    step_seconds, sample_seconds
        Of a training step, and of one sample evaluated, of one run of such a pack.
    spread
        (slowest - fastest) / median of the rounds.
    """

    kind: Kind
    pack_size: int
    step_seconds: float
    sample_seconds: float
    spread: float


@dataclass(frozen=True)
class Device:
    """The measured speeds of a device.

    Attributes
    ----------
    processes
        Packs that it trains in parallel.
    """

    name: str
    processes: int
    rates: tuple[Rate, ...]

    def rate(self, kind: Kind) -> Rate | None:
        """The speed of that kind of pack, if it was measured."""
        return next((rate for rate in self.rates if rate.kind == kind), None)

    def with_rates(self, rates: Iterable[Rate]) -> Device:
        """The same device with new measurements in the place of old ones."""
        by_kind = {rate.kind: rate for rate in (*self.rates, *rates)}
        return replace(self, rates=tuple(by_kind.values()))


def default_file() -> Path:
    """``walking_noise/throughput.json`` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "walking_noise" / "throughput.json"


def read(file: Path) -> dict[str, Device]:
    """The measured devices by name; none if there is no such file.

    Raises
    ------
    UserError
        The file cannot be read, or is not of this form.
    """
    try:
        return {name: _device(name, content) for name, content in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file}: no measurements can be read from it ({type(error).__name__}: {error}); remove it and measure "
            "again with `walking-noise bench --save`"
        ) from None


def known(file: Path | None) -> list[Device]:
    """The measured devices of a file that a user has named, or of the default one, if there is any.

    Raises
    ------
    UserError
        The named file is not there, or as :func:`read`.
    """
    if file is not None and not file.exists():
        raise UserError(f"{file}: there is no such file; `walking-noise bench --save` makes one")
    return list(read(file or default_file()).values())


def save(file: Path, device: Device) -> None:
    """Keep measurements of a device beside those of others and of its other kinds of packs."""
    kept = read(file)
    if device.name in kept and kept[device.name].processes == device.processes:
        device = kept[device.name].with_rates(device.rates)
    content = {name: asdict(one) for name, one in {**kept, device.name: device}.items()}
    write_whole(file, json.dumps(content, indent=1))


def _device(name: str, content: dict[str, Any]) -> Device:
    return Device(
        name,
        int(content["processes"] if "processes" in content else content["lanes"]),
        tuple(_rate(rate) for rate in content["rates"]),
    )


def _rate(content: dict[str, Any]) -> Rate:
    kind = content["kind"]
    rate = Rate(**{**content, "kind": Kind(**{**kind, "inputs": tuple(kind["inputs"])})})
    if not all(math.isfinite(seconds) and seconds > 0 for seconds in (rate.step_seconds, rate.sample_seconds)):
        raise ValueError(f"{rate.kind}: seconds must be above 0")
    return rate
