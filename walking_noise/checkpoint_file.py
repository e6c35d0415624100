"""The file of a checkpoint: a line that says what it is of, then the training. No code in it is executed."""

from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from walking_noise import canonical
from walking_noise.config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation import Evaluation
from walking_noise.provenance import code_digest, device_kind
from walking_noise.trainee import Trainee
from walking_noise.version import __version__

CHECKSUM = 16
"""Bytes of the BLAKE2b checksums: of the header, at the head of a file, and of the training, in the header."""
LONGEST_HEADER = 2**20
"""Bytes that are read of a file to find its header."""


class CheckpointUnusable(WalkingNoiseError):
    """A checkpoint that is damaged, or of another training than the one at hand: why, in one line."""


@dataclass(frozen=True)
class Header:
    """What a checkpoint is of.

    Attributes
    ----------
    settings
        Those that decide the training, in their canonical form.
    epoch
        How many of ``epochs`` are done.
    version, code, torch
        Of walking_noise, its source's digest, and the version of torch.
    device
        See :func:`walking_noise.provenance.device_kind`.
    data
        Checksum of the data set.
    time
        When it was written, in seconds since 1970.
    """

    network_key: str
    settings: dict[str, Any]
    epoch: int
    epochs: int
    version: str
    code: str
    torch: str
    device: str
    data: str
    time: float

    def difference(self, other: Header) -> str | None:
        """The first thing that makes the numbers of the other one's training others, in words; None: nothing does."""
        for name in self.settings | other.settings:
            theirs, ours = self.settings.get(name), other.settings.get(name)
            if theirs != ours:
                return f"its {name} is {theirs!r}, that of the run is {ours!r}"
        for what, theirs, ours in (
            ("version of walking_noise", f"{self.version} (code {self.code})", f"{other.version} (code {other.code})"),
            ("version of torch", self.torch, other.torch),
            ("device", self.device, other.device),
            ("data set's checksum", self.data, other.data),
        ):
            if theirs != ours:
                return f"the {what} was {theirs}, it is {ours} now"
        return None


def header_of(trainee: Trainee, device: torch.device, data_checksum: str) -> Header:
    """The header of a checkpoint that is written here and now."""
    return Header(
        network_key=trainee.config.network_key,
        settings=json.loads(json.dumps(canonical.network(trainee.config))),
        epoch=trainee.epoch,
        epochs=trainee.epochs,
        version=__version__,
        code=code_digest(),
        torch=torch.__version__,
        device=device_kind(device),
        data=data_checksum,
        time=time.time(),
    )


def read_header(file: Path) -> Header:
    """What a checkpoint is of; its tensors are not read.

    Raises
    ------
    CheckpointUnusable
        It is not there, or is no checkpoint, or its header is damaged.
    """
    try:
        with file.open("rb") as opened:
            head = opened.readline(LONGEST_HEADER)
    except OSError as error:
        raise CheckpointUnusable(f"it cannot be read: {error.strerror or error}") from None
    return _parsed(head.rstrip(b"\n"))[0]


def file_content(trainee: Trainee, device: torch.device, data_checksum: str) -> bytes:
    """A checksum of the header, the header, and the training, whose checksum is in the header."""
    content = io.BytesIO()
    torch.save(
        {
            "training_loss": trainee.training_loss,
            "evaluations": [asdict(evaluation) for evaluation in trainee.evaluations],
            "state": {name: tensor.clone() for name, tensor in trainee.state.items()},  # without the other members
        },
        content,
    )
    header = asdict(header_of(trainee, device, data_checksum))
    head = json.dumps({**header, "content": _checksum(content.getvalue())}).encode()
    return _checksum(head).encode() + head + b"\n" + content.getvalue()


def training_in(file: bytes, config: RunConfig, device: torch.device, data_checksum: str) -> Trainee:
    """The training of this run in the content of a file.

    Raises
    ------
    CheckpointUnusable
        It is damaged, or of other settings, another version, device or data set.
    """
    head, _, content = file.partition(b"\n")
    header, checksum = _parsed(head)
    difference = header.difference(header_of(Trainee(config), device, data_checksum))
    if difference is not None:
        raise CheckpointUnusable(difference)
    if _checksum(content) != checksum:
        raise CheckpointUnusable("it is damaged")
    try:
        fields = torch.load(io.BytesIO(content), weights_only=True)
        evaluations = [Evaluation(**evaluation) for evaluation in fields.pop("evaluations")]
        return Trainee(config, header.epoch, evaluations=evaluations, **fields)
    except Exception:  # where the checksums are right, anything may stand in it
        raise CheckpointUnusable("it holds something else than a training") from None


def _parsed(head: bytes) -> tuple[Header, str]:
    """The header, and the training's checksum, of the first line of a file."""
    checksum, text = head[: 2 * CHECKSUM], head[2 * CHECKSUM :]
    if _checksum(text).encode() != checksum:
        raise CheckpointUnusable("it is damaged")
    try:
        fields = json.loads(text)
        content = fields.pop("content")
        return Header(**fields), content
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointUnusable("it was written by another version of walking_noise") from None


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=CHECKSUM).hexdigest()
