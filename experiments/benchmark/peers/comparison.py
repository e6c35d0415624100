"""The peers of a case, checked and timed in turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from experiments.benchmark.peers.cases import Case
from experiments.benchmark.peers.equality_checks import check
from experiments.benchmark.peers.peer import Peer, run_steps_per_second, usual
from experiments.benchmark.process_group_timing import TimedProcesses
from experiments.benchmark.sample_data import RANDOM, samples
from experiments.benchmark.time_window import Timing
from walking_noise.errors import ran_out_of_memory
from walking_noise.runtime.sizing import capacity

GPU_PACKS = (32, 64, 128, 256, 512)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """What was measured of a case.

    Attributes
    ----------
    random
        Whether the images are random ones.
    samples
        In its training set.
    rounds
        Steps of runs per second, by the peer's name: rounds × processes.
    """

    case: Case
    random: bool
    samples: int
    peers: tuple[Peer, ...]
    rounds: Mapping[str, list[list[float]]]

    def rates(self, peer: str) -> list[float]:
        """Steps of runs per second of all processes together, per round."""
        return [sum(processes) for processes in self.rounds[peer]]

    def ratios(self, peer: str, other: str) -> list[float]:
        """How many times as fast one peer is as another, per round."""
        return [one / another for one, another in zip(self.rates(peer), self.rates(other), strict=True)]


def compare(case: Case, device: torch.device, timing: Timing, tell: Tell) -> Comparison:
    """Check the peers of a case, then time them in turn."""
    tell(f"{case.name}: checking that all compute the same")
    check(case, device)
    peers = contestants(case, device, timing, tell)
    rounds: dict[str, list[list[float]]] = {peer.name: [] for peer in peers}
    with contextlib.ExitStack() as stack:
        crews = {size: stack.enter_context(TimedProcesses(size)) for size in {peer.processes for peer in peers}}
        for number in range(timing.rounds):
            for peer in peers if number % 2 == 0 else reversed(peers):
                tell(f"{case.name}: round {number + 1} of {timing.rounds}, {peer}")
                rounds[peer.name].append(_turn(crews[peer.processes], peer, case, device, timing))
    images = samples(case.data)
    return Comparison(case, images.name == RANDOM, len(images.train_labels), tuple(peers), rounds)


def contestants(case: Case, device: torch.device, timing: Timing, tell: Tell) -> list[Peer]:
    """The peers; on a GPU with the pack size and the number of processes that are best there."""
    default = capacity.training_pack_size(case.config, device)
    if device.type == "cpu":
        cores = capacity.worker_processes(device)
        return [usual("a", cores, device, cores), Peer("b", cores, 1), Peer("c", cores, default)]
    peers = [usual("a", 1, device, _cores()), Peer("b", 1, 1)]
    if "a'" in case.goals:
        peers.insert(1, _best_sharing(case, device, timing, tell))
    return [
        *peers,
        _best_pack(case, device, timing, tell, [size for size in GPU_PACKS if size <= default] or [default]),
    ]


def _best_sharing(case: Case, device: torch.device, timing: Timing, tell: Tell) -> Peer:
    """The number of usual processes that together are fastest: doubled until it gets worse or cores are used up."""
    cores, best, fastest = _cores(), None, 0.0
    processes = 1
    while processes <= cores:
        peer = usual("a'", processes, device, cores)
        try:
            rate = _tried(peer, case, device, timing, tell)
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


def _best_pack(case: Case, device: torch.device, timing: Timing, tell: Tell, sizes: list[int]) -> Peer:
    """The pack size that is fastest, of those that fit into memory."""
    rates: dict[int, float] = {}
    for size in sizes:
        try:
            rates[size] = _tried(Peer("c", 1, size), case, device, timing, tell)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            break
    if not rates:
        raise torch.OutOfMemoryError(f"no pack of {sizes[0]} runs fits into the memory of {device}")
    return Peer("c", 1, max(rates, key=rates.__getitem__))


def _tried(peer: Peer, case: Case, device: torch.device, timing: Timing, tell: Tell) -> float:
    tell(f"{case.name}: trying {peer}")
    with TimedProcesses(peer.processes) as crew:
        return sum(_turn(crew, peer, case, device, timing))


def _turn(crew: TimedProcesses, peer: Peer, case: Case, device: torch.device, timing: Timing) -> list[float]:
    """Steps of runs per second of each process; the memory is given back to the device for the next peer."""
    try:
        return crew.run(run_steps_per_second, peer, case, device, timing)
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _cores() -> int:
    return capacity.worker_processes(torch.device("cpu"))
