"""Peers of the comparison: ways to train many runs, and the measurement of their speed.

a   one process per run, the usual way; one process for each core of a CPU, or one on a GPU
a'  on a GPU, the fastest number of these processes
b   one run in the project's trainer, with the data in memory; one process for each core of a CPU, or one on a GPU
c   packs as the project forms them: one for each core of a CPU; on a GPU a single pack, of the fastest size
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from tests.benchmarks.peers.cases import Case
from tests.benchmarks.peers.sample_data import samples, usual_loader
from tests.benchmarks.peers.time_window import Timing, Window
from tests.benchmarks.peers.usual_training import train_as_usual
from walking_noise import Stopped
from walking_noise.reproducibility import deterministic
from walking_noise.training.trainer import train_pack

MOST_WORKERS = 4
"""Processes that read data for one training on a GPU."""


@dataclass(frozen=True)
class Peer:
    """A way to train, and the number of processes that do so in parallel.

    Attributes
    ----------
    pack_size
        Largest number of runs that a process trains at once; None: one run, the usual way.
    workers
        Worker processes of the DataLoader.
    """

    name: str
    processes: int
    pack_size: int | None = None
    workers: int = 0

    def __str__(self) -> str:
        each = f"{self.processes} processes" if self.processes > 1 else "one process"
        if self.pack_size is None:
            readers = f", each with {self.workers} DataLoader workers" if self.workers else ""
            return f"({self.name}) the usual way, {each}{readers}"
        what = "one run, all in memory" if self.name == "b" else f"packs of up to {self.pack_size}"
        return f"({self.name}) {what}, {each}"


def usual(name: str, processes: int, device: torch.device, cores: int) -> Peer:
    """A peer of the usual way.

    The cores are divided among the processes. On a GPU, all but one core of each process (at most four) run DataLoader
    workers. On a CPU there are no workers, since they would take the cores that other runs train on.
    """
    workers = 0 if device.type == "cpu" else min(MOST_WORKERS, max(0, cores // processes - 1))
    return Peer(name, processes, workers=workers)


def run_steps_per_second(rank: int, peer: Peer, case: Case, device: torch.device, timing: Timing) -> float:
    """Training steps per second of process ``rank``, times the number of runs that take each step."""
    images, window = samples(case.data), Window(device, timing)
    members = 1
    try:
        if peer.pack_size is None:
            with _threads(device):
                batch = case.config.training.batch_size
                loader = usual_loader(case.data, images, batch, peer.workers, pinned=device.type == "cuda")
                train_as_usual(case.config, loader, device, window.step)
        else:
            runs = [case.config] if peer.pack_size == 1 else case.pack(peer.pack_size, rank, peer.processes)
            members = len(runs)
            with deterministic():
                train_pack(runs, images, device, after_batch=window.step)
    except Stopped:
        return members * window.rate
    raise AssertionError("the training of a study ended within the time of a measurement")


@contextmanager
def _threads(device: torch.device) -> Iterator[None]:
    """Use one thread on a CPU, where every core has its own process; on a GPU keep torch's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if device.type == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
