"""Comparison of the peers of a case: they are checked, then timed in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from experiments.benchmark.timed_processes import run_at_the_same_time
from tests.benchmarks.peers.cases import Case
from tests.benchmarks.peers.ensemble import TITLES, missing
from tests.benchmarks.peers.equality_checks import check, check_ensemble
from tests.benchmarks.peers.peer import Peer, ensemble, run_steps_per_second, usual, usual_threads
from tests.benchmarks.peers.sample_data import RANDOM, samples
from tests.benchmarks.peers.time_window import Timing
from walking_noise.errors import ran_out_of_memory
from walking_noise.runtime.sizing import capacity

GPU_PACKS = (32, 64, 128, 256, 512)
Show = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """Measurements of a case.

    Attributes
    ----------
    random
        Whether the images are random.
    rounds
        Run steps per second (steps per second × runs that take each step), by the peer's name: rounds × processes.
    missing
        What this machine lacks for a peer that is not measured, by the peer's name.
    """

    case: Case
    random: bool
    peers: tuple[Peer, ...]
    rounds: Mapping[str, list[list[float]]]
    missing: Mapping[str, str] = field(default_factory=dict)

    def rates(self, peer: str) -> list[float]:
        """Run steps per second of all processes together, per round."""
        return [sum(processes) for processes in self.rounds[peer]]

    def ratios(self, peer: str, *others: str) -> list[float]:
        """Ratio of one peer's speed to that of the fastest of others, per round."""
        return [one / max(rest) for one, *rest in zip(*map(self.rates, (peer, *others)), strict=True)]


def compare(case: Case, device: torch.device, timing: Timing, show: Show) -> Comparison:
    """Check the peers of a case, then time them in turn."""
    show(f"{case.name}: checking that all compute the same")
    check(case, device)
    peers, images = peers_of(case, device, timing, show), samples(case.data)
    for peer in peers:
        if peer.name in TITLES:
            show(f"{case.name}: checking {peer}")
            with usual_threads(device):
                check_ensemble(case, str(peer), ensemble(peer.name, tuple(peer.runs(case)), images), images)
    rounds: dict[str, list[list[float]]] = {peer.name: [] for peer in peers}
    for number in range(timing.rounds):
        for peer in peers if number % 2 == 0 else reversed(peers):
            show(f"{case.name}: round {number + 1} of {timing.rounds}, {peer}")
            rounds[peer.name].append(_measure(peer, case, device, timing))
    lacking = {name: reason for name in case.peers.split() if (reason := missing(name))}
    return Comparison(case, images.name == RANDOM, tuple(peers), rounds, lacking)


def peers_of(case: Case, device: torch.device, timing: Timing, show: Show) -> list[Peer]:
    """The peers of a case that this machine can measure; on a GPU with the fastest pack and number of processes."""
    default = capacity.training_pack_size(case.config, device)
    sizes = [size for size in GPU_PACKS if size <= default] or [default]
    peers = []
    for name in case.peers.split():
        if name == "a'":
            peers.append(_best_sharing(case, device, timing, show))
        elif name == "c" and device.type != "cpu":
            peers.append(_best_pack(case, device, timing, show, sizes))
        elif name == "a":
            peers.append(usual("a", 1, device, _cores()))
        elif not missing(name):
            peers.append(Peer(name, 1, 1 if name == "b" else default))
    return peers


def _best_sharing(case: Case, device: torch.device, timing: Timing, show: Show) -> Peer:
    """The fastest number of processes of the usual way, doubled until the speed drops or the cores are used up."""
    cores, best, fastest = _cores(), None, 0.0
    processes = 1
    while processes <= cores:
        peer = usual("a'", processes, device, cores)
        try:
            rate = _trial(peer, case, device, timing, show)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            break
        if rate < fastest:
            break
        best, fastest, processes = peer, rate, 2 * processes
    if best is None:
        raise torch.OutOfMemoryError(f"not even one run fits into the memory of {device}")
    return best


def _best_pack(case: Case, device: torch.device, timing: Timing, show: Show, sizes: list[int]) -> Peer:
    """The fastest pack size among those that fit into memory."""
    rates: dict[int, float] = {}
    for size in sizes:
        try:
            rates[size] = _trial(Peer("c", 1, size), case, device, timing, show)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            break
    if not rates:
        raise torch.OutOfMemoryError(f"no pack of {sizes[0]} runs fits into the memory of {device}")
    return Peer("c", 1, max(rates, key=rates.__getitem__))


def _trial(peer: Peer, case: Case, device: torch.device, timing: Timing, show: Show) -> float:
    show(f"{case.name}: trying {peer}")
    return sum(_measure(peer, case, device, timing))


def _measure(peer: Peer, case: Case, device: torch.device, timing: Timing) -> list[float]:
    """Run steps per second of each process; cached memory is returned to the device for the next peer."""
    try:
        return run_at_the_same_time(peer.processes, run_steps_per_second, peer, case, device, timing)
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _cores() -> int:
    return capacity.worker_processes(torch.device("cpu"))
