"""Peers of the comparison: ways to train many runs, and the measurement of their speed.

a   one process per run, the usual way
a'  on a GPU, the fastest number of these processes
b   one run in the project's trainer, with the data in memory
c   a pack as the project forms it; on a GPU of the fastest size
d   on a CPU, the runs of this pack under ``torch.func.vmap``
d'  the same, compiled
e   on a CPU, the runs of this pack in JAX, if it is installed
g   on a CPU, this pack under global noise

On a CPU each uses one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch

from tests.benchmarks.peers.cases import Case
from tests.benchmarks.peers.ensemble import TITLES, Ensemble, train_ensemble
from tests.benchmarks.peers.sample_data import samples, usual_loader
from tests.benchmarks.peers.time_window import Timing, Window
from tests.benchmarks.peers.usual_training import train_as_usual
from tests.benchmarks.peers.vmap_training import VmapEnsemble
from walking_noise import RunConfig, Stopped
from walking_noise.data import DataSet
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
        return f"({self.name}) {TITLES.get(self.name, what)}{', global noise' * (self.name == 'g')}, {each}"

    def runs(self, case: Case, rank: int = 0) -> list[RunConfig]:
        """The runs that process ``rank`` trains."""
        if self.pack_size in (None, 1):
            return [case.config]
        pack = case.pack(self.pack_size, rank, self.processes)
        everywhere = {"noise.point": "global"} if self.name == "g" else {}
        return [RunConfig.from_dict(config.to_flat() | everywhere) for config in pack]


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
    runs = peer.runs(case, rank)
    try:
        if peer.name in TITLES:
            with usual_threads(device):
                train_ensemble(ensemble(peer.name, tuple(runs), images), len(images.train_labels), window.step)
        elif peer.pack_size is None:
            with usual_threads(device):
                batch = case.config.training.batch_size
                loader = usual_loader(case.data, images, batch, peer.workers, pinned=device.type == "cuda")
                train_as_usual(case.config, loader, device, window.step)
        else:
            with deterministic():
                train_pack(runs, images, device, after_batch=window.step)
    except Stopped:
        return len(runs) * window.rate
    raise AssertionError("the training of a study ended within the time of a measurement")


@lru_cache(maxsize=4)
def ensemble(name: str, configs: tuple[RunConfig, ...], images: DataSet) -> Ensemble:
    """The ensemble of the peers d, d' and e; it is kept, so that it is compiled once."""
    if name == "e":
        from tests.benchmarks.peers.jax_training import JaxEnsemble

        return JaxEnsemble(configs, images)
    return VmapEnsemble(configs, images, compiled=name == "d'")


@contextmanager
def usual_threads(device: torch.device) -> Iterator[None]:
    """Use one thread on a CPU, where every core has its own process; on a GPU keep torch's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if device.type == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
