"""Google Speech Commands v0.02 (Warden 2018): 105,829 recordings of 35 words, of which ten are keywords by default."""

from __future__ import annotations

from pathlib import Path

from walking_noise.data.speech.speech_commands import SpeechCommands

VERSION = "speech_commands_v0.02"


def download(root: Path) -> None:
    """Download and unpack the archive (2.3 GiB) with torchaudio, which verifies its SHA-256."""
    from torchaudio.datasets import SPEECHCOMMANDS

    SPEECHCOMMANDS(root, url=VERSION, download=True)


DATA_SET = SpeechCommands(name="gsc", folder=Path("SpeechCommands", VERSION), download=download)
