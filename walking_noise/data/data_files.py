"""The files of a data set: where they are, and their content, checked against what it must be."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_VARIABLE = "WALKING_NOISE_DATA"


class DamagedFile(Exception):
    """A file is there, but its content is not what it must be."""


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all data sets.

    ``root`` if given, else ``$WALKING_NOISE_DATA``, else ``walking_noise/data`` in the user's cache
    (``$XDG_CACHE_HOME``, or ``~/.cache``).
    """
    folder = root or os.environ.get(ENVIRONMENT_VARIABLE) or user_cache() / "data"
    return Path(folder).expanduser().absolute()


def user_cache() -> Path:
    """The folder ``walking_noise`` in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return cache.expanduser().absolute() / "walking_noise"


@dataclass(frozen=True)
class Files:
    """Files of known content in one folder, each plain or compressed with gzip (``NAME`` or ``NAME.gz``).

    Attributes
    ----------
    sha256
        Per file name the SHA-256, in hex, of the uncompressed content.
    """

    folder: Path
    sha256: Mapping[str, str]

    def path(self, name: str) -> Path:
        """Where the file is, or would be."""
        plain, packed = self.folder / name, self.folder / f"{name}.gz"
        return packed if packed.is_file() and not plain.is_file() else plain

    @property
    def missing(self) -> tuple[Path, ...]:
        """The files that are not there."""
        return tuple(path for path in map(self.path, self.sha256) if not path.is_file())

    @property
    def extent(self) -> str:
        """Empty: a data set in files of known content is there or not."""
        return ""

    def verify(self) -> None:
        """Raise :class:`DamagedFile` if the content of a file is not what it must be."""
        for name in self.sha256:
            self.content(name)

    def content(self, name: str) -> bytes:
        """The uncompressed content of a file.

        Raises
        ------
        DamagedFile
            It cannot be read, or is not the file of that name.
        """
        path = self.path(name)
        try:
            content = path.read_bytes()
            if path.name != name:
                content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedFile(f"{path} cannot be read ({error})") from error
        found, expected = hashlib.sha256(content).hexdigest(), self.sha256[name]
        if found != expected:
            size = f"{len(content):,} bytes"
            raise DamagedFile(f"{path} is damaged ({size} with SHA-256 {found[:12]}…, not {expected[:12]}…)")
        return content
