"""Options of a worker, read from environment variables. They never change a run's settings."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from experiments.database.connection import Document
from experiments.errors import UserError
from experiments.worker.leases import LEASE_SECONDS
from walking_noise import ConfigError
from walking_noise.config.setting_schemas import refusal
from walking_noise.fields.setting_types import in_words
from walking_noise.runtime.sizing.capacity import device_by_name

PREFIX = "WALKING_NOISE_"
OTHER_VARIABLES = tuple(PREFIX + name for name in ("DATA", "DB", "IMAGE", "KEEP", "MONGODB"))
"""Variables that are not options: data sets, embedded database, image of jobs, variables to pass, tests' database."""
DEFAULT_STATE = "state"
"""Name of the state folder next to the logs of the runs, if ``WALKING_NOISE_STATE`` is not set."""
CHECKPOINTS, UNDELIVERED = "checkpoints", "undelivered"
"""Subfolders of the state folder, which outlives the workers. They are created when they are first needed."""
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+)([KMGT]?)", value)
    if not match:
        raise ValueError
    return int(match[1]) * UNITS[match[2]]


def _device(value: Any) -> Any:
    try:
        return device_by_name(value) if isinstance(value, str) else value
    except ConfigError:
        raise ValueError("this machine has no such device") from None


def _plain_number(value: Any) -> Any:
    """Allow text with digits and one point only: neither a sign nor an exponent nor a space."""
    if isinstance(value, str) and not re.fullmatch(r"\d+(\.\d+)?", value):
        raise ValueError
    return value


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


PLAIN = BeforeValidator(_plain_number)
Count = Annotated[int, Field(ge=1), PLAIN]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), PLAIN, in_words("a number of seconds > 0")]
Bytes = Annotated[int, BeforeValidator(_bytes), in_words("a number of bytes, for example 500M or 20G")]
Folder = Annotated[Path, AfterValidator(_absolute), in_words("a path")]
Device = Annotated[torch.device, BeforeValidator(_device), WithJsonSchema({"$comment": "cpu, cuda, cuda:1"})]
Text = Annotated[str, in_words("a path")]


class WorkerOptions(BaseModel):
    """The options of a worker; None selects the default."""

    model_config = ConfigDict(
        frozen=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        alias_generator=lambda name: PREFIX + name.upper(),
        validate_by_name=True,
        validate_by_alias=True,
    )

    pack_size: Count | SkipJsonSchema[None] = None
    """Largest number of trainings for which a worker leases runs; default: enough to keep the device busy for a
    while."""
    device: Device | SkipJsonSchema[None] = None
    """Device that trains; default: a GPU if there is one."""
    networks: Text | SkipJsonSchema[None] = None
    """Folder of trained networks: workers share those trained without noise or at a level of their own, and store
    those of runs with training.keep_network. Without it no network is shared, and runs with training.keep_network
    fail."""
    state: Folder | SkipJsonSchema[None] = None
    """Folder of checkpoints and of undelivered results, which all nodes can read and write; default: state next to the
    logs of the runs."""
    state_quota: Bytes | SkipJsonSchema[None] = None
    """Largest total size of the checkpoints; default: limited by the disk only."""
    checkpoint_seconds: Seconds = 600.0
    """Longest working time that may be lost; one epoch if an epoch takes longer."""
    lease_seconds: Seconds = LEASE_SECONDS
    """Time without a heartbeat after which a lease expires; the worker is lost after a further fifth of this time."""
    patience_seconds: Seconds = 3600.0
    """Longest outage of the database before a worker gives up."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> WorkerOptions:
        """Read ``WALKING_NOISE_*``; an empty value selects the default.

        Raise :class:`UserError` if a value is invalid.
        """
        given = {name: value for name, value in environment.items() if value}
        try:
            return cls.model_validate(given, by_name=False, by_alias=True)
        except ValidationError as error:
            raise UserError(str(refusal(cls, given, error))) from None

    def state_folder(self, run: Document) -> Path | None:
        """The state folder of a worker of this run; None if the options name none and the run has no log."""
        log = run["seml"].get("output_file")
        return self.state or (Path(log).parent / DEFAULT_STATE if log else None)


def check_variables(environment: Mapping[str, str] = os.environ, kept: Collection[str] = ()) -> None:
    """Raise :class:`UserError` for an option in the environment of a job that is unknown, or invalid on all machines.

    The GPU of an option need not exist on this machine. ``kept`` names variables that the user passes on purpose, like
    those in ``$WALKING_NOISE_KEEP``.
    """
    options = (str(field.alias) for field in WorkerOptions.model_fields.values())
    known = [*options, *OTHER_VARIABLES, *kept, *environment.get(f"{PREFIX}KEEP", "").split()]
    for name, value in environment.items():
        if name.startswith(PREFIX) and value and name not in known:
            own = [one.removeprefix(PREFIX) for one in known]
            close = difflib.get_close_matches(name.removeprefix(PREFIX), own, n=1)
            hint = f"did you mean {PREFIX}{close[0]}?" if close else f"there are {', '.join(known)}"
            raise UserError(f"{name}: there is no such option; {hint}")
    gpu = re.fullmatch(r"cuda(:\d+)?", environment.get(f"{PREFIX}DEVICE", ""))
    WorkerOptions.from_environment({**environment, f"{PREFIX}DEVICE": ""} if gpu else environment)


def exported(slurm: Iterable[Document]) -> dict[str, str]:
    """The variables that ``export`` sets in the ``sbatch_options`` of a grid or of a run."""
    lists = (str(options.get("sbatch_options", {}).get("export", "")).split(",") for options in slurm)
    return dict(entry.split("=", 1) for entries in lists for entry in entries if "=" in entry)
