"""As whom the private cluster runs: as the user who runs the tests or, if that is root, as one without its rights."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAY_READ = "-all,+dac_read_search"
"""The one right that is left: checkout and interpreter may lie in a folder that root alone may enter."""


@dataclass(frozen=True)
class OrdinaryUser:
    """A user without rights over others' files and processes, who can own a folder and run programs."""

    name: str
    uid: int
    gid: int

    @classmethod
    def here(cls) -> OrdinaryUser:
        """Who runs this process; ``nobody`` in the place of root."""
        known = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
        return cls(known.pw_name, known.pw_uid, known.pw_gid)

    def command(self, command: Sequence[str]) -> list[str]:
        """What runs ``command`` as this user, in the process that is started for it."""
        if os.getuid() == self.uid:
            return [*command]
        become = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return ["setpriv", *become, f"--inh-caps={MAY_READ}", f"--ambient-caps={MAY_READ}", *command]

    def own(self, path: Path) -> Path:
        """Hand over a folder or a file."""
        if os.getuid() != self.uid:
            os.chown(path, self.uid, self.gid)
        return path
