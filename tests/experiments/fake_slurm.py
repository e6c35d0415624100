"""Fake Slurm commands that record their input, in a folder for the PATH."""

from __future__ import annotations

import re
from pathlib import Path

SBATCH = r"""#!/bin/bash
[ -e refuse ] && { cat refuse >&2; exit 1; }
job=$(( 10 + $(ls scripts | wc -l) ))
cp "$1" scripts/$job
env -0 > environments/$job
tasks=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$1")
for task in $(seq 0 "$tasks"); do echo "$job|$task|$job|PENDING"; done >> queue
echo "Submitted batch job $job"
while [ -e hold ]; do sleep 0.1; done
"""


class FakeSlurm:
    """A cluster ``attic`` that accepts arrays of up to ``size`` tasks and never runs them."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        for name in ("scripts", "environments"):
            (folder / name).mkdir(parents=True)
        (folder / "queue").touch()
        self.configure(size)
        for name, script in (
            ("sbatch", SBATCH),
            ("squeue", '#!/bin/bash\n[ -n "$SQUEUE_USERS" ] && exit\nexec cat queue\n'),
            ("scontrol", "#!/bin/bash\nexec cat config\n"),
            ("sacct", "#!/bin/bash\nexec cat accounting\n"),
        ):
            start = f"\ncd {folder}\necho {name} >> calls\n[ -e slow_{name} ] && {{ sleep 60; exit 1; }}\n"
            (folder / name).write_text(script.replace("\n", start, 1))
            (folder / name).chmod(0o755)

    def configure(self, size: int, private: str = "none") -> None:
        """Set the output of ``scontrol show config``."""
        config = {"ClusterName": "attic", "MaxArraySize": size, "MaxJobCount": 10000, "PrivateData": private}
        (self.folder / "config").write_text("".join(f"{name:<23} = {value}\n" for name, value in config.items()))

    @property
    def calls(self) -> list[str]:
        """The names of the commands that were called, in their order."""
        calls = self.folder / "calls"
        return calls.read_text().split() if calls.exists() else []

    def slow_down(self, *commands: str) -> None:
        """Let commands start a program that takes a minute; other commands are quick again."""
        for name in ("sbatch", "squeue", "scontrol", "sacct"):
            (self.folder / f"slow_{name}").unlink(missing_ok=True)
        for name in commands:
            (self.folder / f"slow_{name}").touch()

    def go_down(self) -> None:
        """Make all commands fail."""
        (self.folder / "queue").unlink()
        (self.folder / "config").unlink()

    def lose(self, array: int) -> None:
        """Remove an array from the queue."""
        lines = (self.folder / "queue").read_text().splitlines(keepends=True)
        (self.folder / "queue").write_text("".join(line for line in lines if not line.startswith(f"{array}|")))

    def block(self, *, on: bool) -> None:
        """Let ``sbatch`` accept arrays but not return, or let it return again."""
        (self.folder / "hold").touch() if on else (self.folder / "hold").unlink()

    def reject(self, reason: str) -> None:
        """Reject further arrays."""
        (self.folder / "refuse").write_text(reason)

    def accept(self) -> None:
        """Accept arrays again."""
        (self.folder / "refuse").unlink()

    @property
    def scripts(self) -> dict[int, str]:
        """Job id -> the script that ``sbatch`` received."""
        return {int(script.name): script.read_text() for script in sorted((self.folder / "scripts").iterdir())}

    @property
    def arrays(self) -> list[str]:
        """The indices of the arrays that ``sbatch`` received, such as ``0-2%2``."""
        return [
            indices for script in self.scripts.values() for indices in re.findall(r"(?m)^#SBATCH --array=(.*)$", script)
        ]

    def environment(self, job: int) -> dict[str, str]:
        """The environment in which ``sbatch`` ran."""
        recorded = (self.folder / "environments" / str(job)).read_text()
        return dict(line.split("=", 1) for line in recorded.split("\0") if line)
