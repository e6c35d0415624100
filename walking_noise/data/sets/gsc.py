"""Google Speech Commands v0.02 (Warden 2018): 105,829 recordings of 35 words, ten of which are to be told apart."""

from __future__ import annotations

from pathlib import Path

from walking_noise.data.speech.speech_commands import SpeechCommands

VERSION = "speech_commands_v0.02"


def download(root: Path) -> None:
    """Fetch the archive, 2.3 GiB, and unpack it as torchaudio does, which checks its SHA-256."""
    from torchaudio.datasets import SPEECHCOMMANDS

    SPEECHCOMMANDS(root, url=VERSION, download=True)


DATA_SET = SpeechCommands(name="gsc", folder=Path("SpeechCommands", VERSION), download=download)
