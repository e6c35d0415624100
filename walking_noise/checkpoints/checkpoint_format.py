"""File format of a checkpoint: a header line in JSON, then the member saved by torch. Reading executes no code."""

from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from walking_noise.checkpoints.code_digest import code_digest
from walking_noise.checkpoints.layer_choices import in_words, layer_choices
from walking_noise.checkpoints.provenance import device_kind
from walking_noise.config import keys
from walking_noise.config.run_config import RunConfig
from walking_noise.errors import WalkingNoiseError
from walking_noise.evaluation.evaluator import Evaluation
from walking_noise.training.member import Member
from walking_noise.version import __version__

CHECKSUM = 16
"""Bytes of a BLAKE2b checksum. The file begins with that of the header, which contains that of the member."""
LONGEST_HEADER = 2**20
"""The maximum number of bytes that are read to find the end of the header line."""


class CheckpointUnusable(WalkingNoiseError):
    """A checkpoint is damaged or belongs to another training. The text gives the reason in one line."""


@dataclass(frozen=True)
class Header:
    """Description of the training and of the process that wrote a checkpoint."""

    network_key: str
    settings: dict[str, Any]  # those that determine the training, in canonical form
    epoch: int  # number of completed epochs, out of ``epochs``
    epochs: int
    version: str  # of walking_noise
    code: str  # digest of the source that determines the training
    torch: str  # version of torch
    device: str  # see :func:`walking_noise.checkpoints.provenance.device_kind`
    data: str  # checksum of the data set
    time: float  # of writing, in seconds since 1970
    layers: dict[str, str] = field(default_factory=dict)  # see :func:`layer_choices`

    def difference(self, other: Header) -> str | None:
        """Describe the first difference that would change the numbers of the training; None if there is none."""
        for name in self.settings | other.settings:
            stored, expected = self.settings.get(name), other.settings.get(name)
            if stored != expected:
                return f"its {name} is {stored!r}, that of the run is {expected!r}"
        for what, stored, expected in (
            ("version of walking_noise", f"{self.version} (code {self.code})", f"{other.version} (code {other.code})"),
            ("version of torch", self.torch, other.torch),
            ("device", self.device, other.device),
            ("choice of layers for the GPU", in_words(self.layers), in_words(other.layers)),
            ("data set's checksum", self.data, other.data),
        ):
            if stored != expected:
                return f"the {what} was {stored}, it is {expected} now"
        return None


def header_of(member: Member, device: torch.device, data_checksum: str) -> Header:
    """The header of a checkpoint that this process would write now."""
    return Header(
        network_key=member.config.network_key,
        settings=json.loads(json.dumps(keys.network(member.config))),
        epoch=member.epoch,
        epochs=member.epochs,
        version=__version__,
        code=code_digest(member.config),
        torch=torch.__version__,
        device=device_kind(device),
        data=data_checksum,
        time=time.time(),
        layers=layer_choices(member.config, device),
    )


def read_header(file: Path) -> Header:
    """Read the header of a checkpoint without its tensors.

    Raise :class:`CheckpointUnusable` if the file cannot be read, is not a checkpoint, or has a damaged header.
    """
    try:
        with file.open("rb") as opened:
            head = opened.readline(LONGEST_HEADER)
    except OSError as error:
        raise CheckpointUnusable(f"it cannot be read: {error.strerror or error}") from None
    return _parsed(head.rstrip(b"\n"))[0]


def encode_checkpoint(member: Member, device: torch.device, data_checksum: str) -> bytes:
    """Encode a checkpoint: checksum of the header, header, member."""
    content = io.BytesIO()
    torch.save(
        {
            "training_loss": member.training_loss,
            "evaluations": [asdict(evaluation) for evaluation in member.evaluations],
            # cloned, since torch saves the whole storage of a view, which has all members of the pack
            "state": {name: tensor.clone() for name, tensor in member.state.items()},
        },
        content,
    )
    header = asdict(header_of(member, device, data_checksum))
    head = json.dumps({**header, "content": _checksum(content.getvalue())}).encode()
    return _checksum(head).encode() + head + b"\n" + content.getvalue()


def decode_checkpoint(file: bytes, config: RunConfig, device: torch.device, data_checksum: str) -> Member:
    """Decode the member of this run from the bytes of a checkpoint.

    Raise :class:`CheckpointUnusable` if the checkpoint is damaged, or was written for other settings, or by another
    version, device or data set.
    """
    head, _, content = file.partition(b"\n")
    header, checksum = _parsed(head)
    difference = header.difference(header_of(Member(config), device, data_checksum))
    if difference is not None:
        raise CheckpointUnusable(difference)
    if _checksum(content) != checksum:
        raise CheckpointUnusable("it is damaged")
    try:
        fields = torch.load(io.BytesIO(content), weights_only=True)
        evaluations = [Evaluation(**evaluation) for evaluation in fields.pop("evaluations")]
        return Member(config, header.epoch, evaluations=evaluations, **fields)
    except Exception:  # a valid checksum does not imply valid content
        raise CheckpointUnusable("its content is not the state of a training") from None


def _parsed(head: bytes) -> tuple[Header, str]:
    """Parse the first line of a file. Return the header, and the checksum of the member."""
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
