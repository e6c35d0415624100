"""User of the private cluster: the user who runs the tests, or an unprivileged user instead of root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAY_READ = "-all,+dac_read_search"
"""The remaining capability: checkout and interpreter may be in a folder that only root may enter."""


@dataclass(frozen=True)
class OrdinaryUser:
    """A user without privileges, who can own a folder and run programs."""

    name: str
    uid: int
    gid: int

    @classmethod
    def here(cls) -> OrdinaryUser:
        """The user of this process; ``nobody`` instead of root."""
        entry = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs ``command`` as this user, in the same process."""
        if os.getuid() == self.uid:
            return [*command]
        options = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return ["setpriv", *options, f"--inh-caps={MAY_READ}", f"--ambient-caps={MAY_READ}", *command]

    def own(self, path: Path) -> Path:
        """Make this user the owner of a folder or a file; return its path."""
        if os.getuid() != self.uid:
            os.chown(path, self.uid, self.gid)
        return path
