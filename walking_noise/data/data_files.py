"""Files of a data set: their folder, and their content, verified by checksums."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from walking_noise.user_cache import user_cache

ENVIRONMENT_VARIABLE = "WALKING_NOISE_DATA"


class DamagedFile(Exception):
    """A file of a data set exists, but its content is not the published one."""


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all data sets.

    It is ``root`` if given, otherwise ``$WALKING_NOISE_DATA``, otherwise ``walking_noise/data`` in the user's cache
    directory (``$XDG_CACHE_HOME`` or ``~/.cache``).
    """
    folder = root or os.environ.get(ENVIRONMENT_VARIABLE) or user_cache() / "data"
    return Path(folder).expanduser().absolute()


@dataclass(frozen=True)
class Files:
    """Files with known checksums in one folder, each uncompressed or compressed with gzip (``NAME`` or ``NAME.gz``)."""

    folder: Path
    sha256: Mapping[str, str]  # of the uncompressed content, in hex, by file name

    extent = ""  # the files exist completely or not at all

    def path(self, name: str) -> Path:
        """The path of the file, or the path at which it is expected."""
        plain, compressed = self.folder / name, self.folder / f"{name}.gz"
        return compressed if compressed.is_file() and not plain.is_file() else plain

    @property
    def missing(self) -> tuple[Path, ...]:
        """The files that do not exist."""
        return tuple(path for path in map(self.path, self.sha256) if not path.is_file())

    def verify(self) -> None:
        """Raise :class:`DamagedFile` if a file cannot be read or its content does not have the known checksum."""
        for name in self.sha256:
            self.content(name)

    def content(self, name: str) -> bytes:
        """The uncompressed content of a file.

        Raise :class:`DamagedFile` if the file cannot be read, or its content does not have the known checksum.
        """
        path = self.path(name)
        try:
            content = path.read_bytes()
            if path.name != name:
                content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedFile(f"{path} cannot be read ({error})") from error
        actual, expected = hashlib.sha256(content).hexdigest(), self.sha256[name]
        if actual != expected:
            size = f"{len(content):,} bytes"
            raise DamagedFile(f"{path} is damaged ({size} with SHA-256 {actual[:12]}…, not {expected[:12]}…)")
        return content
