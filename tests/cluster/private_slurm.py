"""Private Slurm cluster in a temporary folder: two nodes with fake GPUs on this machine, run by an ordinary user.

It needs Debian's packages slurmctld, slurmd, slurm-client and munge, but neither systemd nor root. Its daemons are
child processes of this process. Tests can kill and restart them.
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
"""The folders of the daemons are not in the PATH of ordinary users."""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
"""Programs of Debian's packages munge, slurmctld, slurmd and slurm-client."""
NODES, NODE = ("n1", "n2"), "CPUs=16 RealMemory=64000"
START_SECONDS = 180.0
ANSWER_SECONDS = 120.0
"""Longest waits, for a machine on which all other tests run at the same time."""
TAIL_LINES = 60


def is_installed() -> bool:
    """Whether this machine has all programs of Slurm."""
    return all(shutil.which(program, path=PATH) for program in PROGRAMS)


@dataclass(frozen=True)
class Settings:
    """Settings that differ between clusters.

    Attributes
    ----------
    gpus
        Number of fake GPUs of a node, and so of simultaneous tasks with ``gres: gpu:1``.
    max_array_size
        Slurm's MaxArraySize; an array has fewer tasks.
    kill_wait
        Seconds between SIGTERM and SIGKILL.
    """

    gpus: int = 2
    max_array_size: int = 33
    kill_wait: int = 20


class Daemon:
    """A server process that can be killed and started again; its output is written to a log."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *options: str) -> None:
        assert not self.runs, f"{self.name} is already running"
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
        """Kill it by SIGKILL; return its process id."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def stop(self, seconds: float = 15.0) -> None:
        """Send SIGTERM, and SIGKILL if it has not ended after ``seconds``."""
        if self.process is not None and self.runs:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()


class PrivateSlurm:
    """A cluster in ``folder``, with methods to start and stop it and to run programs as its user.

    Attributes
    ----------
    environment
        Environment of all processes; only PATH is taken from the caller.
    controller, nodes
        The daemons slurmctld and, by node, slurmd.
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
        """Write the configuration, start all daemons, and wait until the nodes are idle."""
        for name in ("", "log", "run", "state", "home", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o755, exist_ok=True)
            self.user.own(self.folder / name)
        self._write("munge.key", secrets.token_bytes(1024), 0o600)
        for name, text in self._configuration().items():
            self._write(name, text.encode(), 0o644)
        self.munge.start()
        self.wait(lambda: (self.folder / "run" / "munge.socket").exists(), "the socket of munged")
        self.controller.start("-c")
        for node in self.nodes.values():
            node.start()
        self.wait_for_nodes()

    def stop(self) -> None:
        """End all processes of the cluster."""
        if self.controller.runs:
            with contextlib.suppress(AssertionError):  # the daemons are stopped in any case
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
        """The output of a program run as the cluster's user; a failed program fails the test and shows its output."""
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

    def wait(self, condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
        """Wait until a condition holds; after ``seconds`` fail with the ends of the daemons' logs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not reached within {seconds:g} s: {what}\n{self.log_tails()}"
            time.sleep(0.1)

    def wait_for_nodes(self) -> None:
        """Wait until all nodes accept tasks."""
        states = ["sinfo", "-h", "-N", "-p", "main", "-t", "idle,mixed,allocated", "-o", "%N"]
        self.wait(lambda: len(self.run(*states).split()) == len(NODES), "answers of all nodes")

    @contextlib.contextmanager
    def without_node(self, name: str) -> Iterator[None]:
        """Take a node down, so that Slurm requeues its tasks, and bring it back at the end of the ``with`` block."""
        self.nodes[name].kill()
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")
        try:
            yield
        finally:
            self.nodes[name].start()
            self.run(
                "scontrol", "update", f"NodeName={name}", "State=RESUME", check=False
            )  # refused if it is back already
            self.wait_for_nodes()

    def repair(self) -> None:
        """Repair the state of Slurm after crashes of daemons, as an administrator does.

        A restarted controller has a state that is some seconds old. It drains a node with tasks that it does not know,
        holds tasks that it could not launch, and lists ended tasks as running.
        """
        if self.run("sinfo", "-h", "-t", "drain", "-o", "%N"):
            self.run("scontrol", "update", f"NodeName={','.join(NODES)}", "State=RESUME", check=False)
        for line in self.run("squeue", "-h", "-r", "-t", "PENDING", "-o", "%i %r").splitlines():
            task, _, reason = line.partition(" ")
            if "held" in reason.lower():
                self.run("scontrol", "release", task, check=False)
        live = {process.environment.get("SLURM_JOB_ID") for process in self.processes()}
        ghosts = set(self.run("squeue", "-h", "-t", "RUNNING", "-o", "%A").split()) - live
        for job in ghosts & self._ghosts:  # seen twice, so not just starting or ending
            self.run("scancel", job, check=False)
        self._ghosts = ghosts

    def processes(self) -> list[Process]:
        """All processes of this cluster: daemons, tasks and commands of the user."""
        return processes_with(self.conf)

    def log_tails(self) -> str:
        """The last lines of all logs."""
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
        options = [f"--key-file={key}", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"]
        options += [f"--seed-file={run}/munged.seed", f"--log-file={self.logs}/munged.log"]
        return ["munged", "--foreground", "--num-threads=2", *options]

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
    """A running cluster in a temporary folder that other users may enter; all of it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # munge refuses folders that other users may write to
    folder.chmod(0o755)
    slurm = PrivateSlurm(folder, settings)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder)


def _cores() -> tuple[str, str]:
    """The cores of each node. A worker on the first node trains in one process, on the second in several."""
    first, *others = sorted(os.sched_getaffinity(0))
    return str(first), ",".join(map(str, others if len(others) > 1 else [first, *others]))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _devices(count: int) -> list[Path]:
    """``count`` existing devices in place of a node's GPUs. No process opens them."""
    return sorted(path for path in Path("/dev").iterdir() if path.is_char_device() and not path.is_symlink())[:count]


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
