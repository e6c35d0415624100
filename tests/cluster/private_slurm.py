"""A Slurm of its own in a temporary folder: two nodes with fake GPUs on this machine, run by an ordinary user.

Debian's packages are all it needs (slurmctld, slurmd, slurm-client, munge); neither systemd nor root. Its daemons are
children of this process, killed and started again at will, and ended by their pids.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.left_running import Process, end_all_with, processes_with
from tests.cluster.ordinary_user import OrdinaryUser

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Daemons lie in folders that ordinary users do not search."""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
"""Debian's packages munge, slurmctld, slurmd and slurm-client bring them."""
NODES, NODE = ("n1", "n2"), "CPUs=16 RealMemory=64000"
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
TAIL_LINES = 60


def is_installed() -> bool:
    """Whether this machine has all programs of Slurm."""
    return all(shutil.which(program, path=PATH) for program in PROGRAMS)


@dataclass(frozen=True)
class Settings:
    """What differs between sites.

    Attributes
    ----------
    gpus
        Fake GPUs of a node: as many tasks of ``gres: gpu:1`` run there at once.
    max_array_size
        Slurm's MaxArraySize: an array has fewer tasks than this.
    kill_wait
        Seconds between SIGTERM and SIGKILL.
    """

    gpus: int = 2
    max_array_size: int = 33
    kill_wait: int = 20


class Daemon:
    """A server in the foreground; what it says goes to a log. May be killed and started again."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *options: str) -> None:
        assert not self.runs, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> int:
        """End it at once by SIGKILL; its pid."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to end; it is killed if it does not."""
        if self.process is not None and self.runs:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()


class PrivateSlurm:
    """The cluster in ``folder``: ``start`` and ``stop`` it, and run programs as its user.

    Attributes
    ----------
    environment
        That of everything here; nothing of the caller's but PATH.
    controller, nodes
        Its daemons: slurmctld, and a slurmd by node.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings, self.user = folder, settings, OrdinaryUser.here()
        self.conf = folder / "slurm.conf"
        self.logs = folder / "log"
        self.environment = {"PATH": PATH, "HOME": str(folder / "home"), "LANG": "C.UTF-8", "SLURM_CONF": str(self.conf)}
        self._ghosts: set[str] = set()
        self.munge = self._daemon("munged", self._munged())
        self.controller = self._daemon("slurmctld", ["slurmctld", "-D"])
        self.nodes = {
            name: self._daemon(f"slurmd.{name}", ["taskset", "--cpu-list", cores, "slurmd", "-D", "-N", name])
            for name, cores in zip(NODES, _cores(), strict=True)
        }

    def start(self) -> None:
        """Write the configuration and start all daemons; the nodes are idle then."""
        for name in ("", "log", "run", "state", "home", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o755, exist_ok=True)
            self.user.own(self.folder / name)
        self._write("munge.key", secrets.token_bytes(1024), 0o600)
        for name, text in self._configuration().items():
            self._write(name, text.encode(), 0o644)
        self.munge.start()
        self.wait(lambda: (self.folder / "run" / "munge.socket").exists(), "munged listens")
        self.controller.start("-c")
        for node in self.nodes.values():
            node.start()
        self.wait_for_nodes()

    def stop(self) -> None:
        """End what runs, by pid; nothing is left."""
        if self.controller.runs:
            with contextlib.suppress(AssertionError):  # it is stopped in any case
                self.run("scancel", "--full", "--signal=KILL", f"--user={self.user.name}", seconds=10)
        for daemon in (*self.nodes.values(), self.controller, self.munge):
            daemon.stop()
        end_all_with(self.conf)

    def run(
        self,
        *command: str,
        seconds: float = ANSWER_SECONDS,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """What a program prints, run as the cluster's user; a failed one fails the test, with all it said."""
        try:
            finished = subprocess.run(
                self.user.command(command),
                env=self.environment | dict(environment or {}),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{' '.join(command)} took more than {seconds:g} s: {error.stdout!r}") from None
        assert not check or finished.returncode == 0, f"{' '.join(command)} failed: {finished.stdout}"
        return finished.stdout

    def wait(self, reached: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
        """Wait until something is so; fail with the ends of the daemons' logs if that takes too long."""
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, f"not reached within {seconds:g} s: {what}\n{self.last_words()}"
            time.sleep(0.1)

    def wait_for_nodes(self) -> None:
        """Wait until all nodes take tasks."""
        states = ["sinfo", "-h", "-N", "-p", "main", "-t", "idle,mixed,allocated", "-o", "%N"]
        self.wait(lambda: len(self.run(*states).split()) == len(NODES), "all nodes answer")

    @contextlib.contextmanager
    def without_node(self, name: str) -> Iterator[None]:
        """A node does not answer, which Slurm is told; its tasks are queued again. On leaving it is back."""
        self.nodes[name].kill()
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")
        try:
            yield
        finally:
            self.nodes[name].start()
            self.run("scontrol", "update", f"NodeName={name}", "State=RESUME")
            self.wait_for_nodes()

    def mend(self) -> None:
        """Do what an administrator does now and then while daemons crash.

        A controller that is started again knows the state of some seconds before. It drains a node whose tasks it does
        not know, holds tasks that it could not launch, and takes tasks for running that have ended.
        """
        if self.run("sinfo", "-h", "-t", "drain", "-o", "%N"):
            self.run("scontrol", "update", f"NodeName={','.join(NODES)}", "State=RESUME", check=False)
        for line in self.run("squeue", "-h", "-r", "-t", "PENDING", "-o", "%i %r").splitlines():
            task, _, reason = line.partition(" ")
            if "held" in reason.lower():
                self.run("scontrol", "release", task, check=False)
        live = {process.environment.get("SLURM_JOB_ID") for process in self.processes()}
        ghosts = set(self.run("squeue", "-h", "-t", "RUNNING", "-o", "%A").split()) - live
        for job in ghosts & self._ghosts:  # not those that just begin or end
            self.run("scancel", job, check=False)
        self._ghosts = ghosts

    def processes(self) -> list[Process]:
        """All processes of this cluster: daemons, tasks, and what the user runs."""
        return processes_with(self.conf)

    def last_words(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"==> {log.name}\n{_tail(log)}" for log in sorted(self.logs.glob("*.log")))

    def _daemon(self, name: str, command: Sequence[str]) -> Daemon:
        return Daemon(name, self.user.command(command), self.environment, self.logs / f"{name}.log")

    def _write(self, name: str, content: bytes, mode: int) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        path.chmod(mode)
        self.user.own(path)

    def _munged(self) -> list[str]:
        run, key = self.folder / "run", self.folder / "munge.key"
        places = [f"--key-file={key}", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"]
        places += [f"--seed-file={run}/munged.seed", f"--log-file={self.logs}/munged.log"]
        return ["munged", "--foreground", "--num-threads=2", *places]

    def _configuration(self) -> dict[str, str]:
        host, (controller, *ports) = socket.gethostname().partition(".")[0], _free_ports(1 + len(NODES))
        gpus = self.settings.gpus
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {NODE} Gres=gpu:{gpus}"
            for name, port in zip(NODES, ports, strict=True)
        ]
        slurm = f"""
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={self.user.name}
SlurmdUser={self.user.name}
AuthType=auth/munge
AuthInfo=socket={self.folder}/run/munge.socket,cred_expire=5
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool.%n
SlurmctldPidFile={self.folder}/run/slurmctld.pid
SlurmdPidFile={self.folder}/run/slurmd.%n.pid
SlurmdDebug=info
SlurmctldDebug=info
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
MailProg=/bin/true
ReturnToService=2
KillWait={self.settings.kill_wait}
MinJobAge=7200
MaxArraySize={self.settings.max_array_size}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory,CR_LLN
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,bf_resolution=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
{os.linesep.join(nodes)}
PartitionName=main Nodes={",".join(NODES)} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={",".join(NODES)} MaxTime=INFINITE State=UP PriorityTier=10
"""
        gres = [f"NodeName={node} Name=gpu File={device}" for node in NODES for device in _devices(gpus)]
        return {"slurm.conf": slurm.lstrip(), "gres.conf": os.linesep.join([*gres, ""])}


@contextlib.contextmanager
def private_slurm(settings: Settings) -> Iterator[PrivateSlurm]:
    """A running cluster in a temporary folder that others may enter; on leaving, nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # munge refuses folders that others may write to
    folder.chmod(0o755)
    slurm = PrivateSlurm(folder, settings)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder)


def _cores() -> tuple[str, str]:
    """The cores that each node has: a worker on the first trains in one process, on the second in several."""
    first, *others = sorted(os.sched_getaffinity(0))
    return str(first), ",".join(map(str, others if len(others) > 1 else [first, *others]))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _devices(count: int) -> list[Path]:
    """As many devices as a node has GPUs; any that exist will do, as nobody opens them."""
    return sorted(path for path in Path("/dev").iterdir() if path.is_char_device() and not path.is_symlink())[:count]


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
