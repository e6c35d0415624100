"""Comparison of packs with their peers: the cases and the measurement. No speed is tested."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from tests.benchmarks.peers import comparison
from tests.benchmarks.peers.cases import FULL, LEVELS, SEEDS, Case, Goal, cases
from tests.benchmarks.peers.ensemble import missing
from tests.benchmarks.peers.equality_checks import changed
from tests.benchmarks.peers.inference_study import measure_inference, study
from tests.benchmarks.peers.peer import Peer, run_steps_per_second, usual
from tests.benchmarks.peers.time_window import WARM_UP_STEPS, Timing, Window
from walking_noise import RunConfig, Stopped

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MLP, OWN_SEEDS, GLOBAL, LENET = cases(CPU)
QUICK = Timing(rounds=2, seconds=0.01, warm_up=0.0)

pytestmark = pytest.mark.usefixtures("few_samples")


# Cases


def test_the_cases_have_the_goals_of_their_device():
    at_most = Goal(1.4, at_most=True)
    assert [case.goals for case in cases(CPU)] == [
        {"d d' e": Goal(1.5)},
        {"d d' e": Goal(1.5)},
        {"g": at_most},
        {"a": Goal(3), "d": Goal(5), "g": at_most},
    ]
    assert [case.goals for case in cases(GPU)] == [{"a": Goal(50), "a'": Goal(8)}, {}]
    assert LENET.config.points[LENET.point].name == "conv2"


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * case.walks, id=case.title) for case in [*cases(CPU), *cases(GPU)]],
)
def test_a_pack_is_one_of_the_study(case: Case):
    study = case.study()
    expected = len(LEVELS) * SEEDS * len(case.config.points) if case.walks else FULL * (1 if case.own_seeds else SEEDS)
    assert len(study) == expected
    packs = [case.pack(8, rank, 4) for rank in range(4)]
    assert all(config in study for pack in packs for config in pack)
    assert len({tuple(config.run_key for config in pack) for pack in packs}) == 4
    assert len({len(pack) for pack in packs}) == 1
    assert 1 < len(packs[0]) <= 8
    assert {config.pack_key for pack in packs for config in pack} == {case.config.pack_key}


def test_each_run_has_its_own_seed_or_its_own_level():
    assert [(len({run.seed for run in pack}), len({run.noise.std for run in pack})) for pack in packs_of_16()] == [
        (1, 16),
        (16, 1),
    ]


def packs_of_16() -> list[list[RunConfig]]:
    return [case.pack(16, 0, 1) for case in (MLP, OWN_SEEDS)]


def test_one_core_of_a_cpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison, "missing", {"d'": "no compiler", "e": "no JAX"}.get)
    peers = comparison.peers_of(MLP, CPU, QUICK, print)
    assert [(peer.name, peer.processes, peer.workers, peer.pack_size) for peer in peers] == [
        ("a", 1, 0, None),
        ("b", 1, 0, 1),
        ("c", 1, 0, 16),
        ("d", 1, 0, 16),
    ]


def test_global_noise_differs_in_the_noise_point_only():
    walking, everywhere = (Peer(name, 1, 16).runs(GLOBAL) for name in ("c", "g"))
    assert [changed(run, {"noise.point": 4}) for run in everywhere] == walking
    assert {run.noise.point for run in everywhere} == {"global"}


@pytest.mark.slow
def test_what_a_machine_lacks(monkeypatch: pytest.MonkeyPatch):
    from torch._inductor import config

    monkeypatch.setattr("tests.benchmarks.peers.ensemble.find_spec", lambda name: None)
    with config.patch({"cpp.cxx": ("no-such-compiler",)}):
        lacking = [missing(name) for name in ("c", "d", "d'", "e")]
    assert lacking == [None, None, "no C++ compiler was found", "JAX is not installed"]


def test_on_a_gpu_the_cores_read_data():
    assert [usual("a'", processes, GPU, 16).workers for processes in (1, 2, 4, 8, 16)] == [4, 4, 3, 1, 0]


@pytest.fixture
def given_rates(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], float | Exception]:
    """Rates that replace measured ones, by the peer's name and its number of processes or runs."""
    rates: dict[tuple[str, int], float | Exception] = {}

    def rate_of(peer: Peer, *_: Any) -> float:
        rate = rates[peer.name, peer.pack_size or peer.processes]
        if isinstance(rate, Exception):
            raise rate
        return rate

    monkeypatch.setattr(comparison, "_trial", rate_of)
    monkeypatch.setattr(comparison, "_cores", lambda: 8)
    return rates


def test_the_fastest_number_of_processes_on_a_gpu(given_rates: dict[tuple[str, int], float | Exception]):
    def best() -> int:
        return comparison._best_sharing(LENET, GPU, QUICK, print).processes

    given_rates.update({("a'", 1): 1.0, ("a'", 2): 1.8, ("a'", 4): 1.7})
    assert best() == 2
    given_rates.update({("a'", 4): 2.0, ("a'", 8): 3.0})
    assert best() == 8
    given_rates["a'", 8] = torch.AcceleratorError("CUDA error: out of memory")
    assert best() == 4


def test_the_fastest_pack_that_fits(given_rates: dict[tuple[str, int], float | Exception]):
    def best() -> int | None:
        return comparison._best_pack(LENET, GPU, QUICK, print, [32, 64, 128]).pack_size

    given_rates.update({("c", 32): 1.0, ("c", 64): 3.0, ("c", 128): 2.0})
    assert best() == 64
    given_rates["c", 64] = torch.OutOfMemoryError()
    assert best() == 32
    given_rates["c", 32] = torch.OutOfMemoryError()
    with pytest.raises(torch.OutOfMemoryError, match="no pack of 32 runs fits"):
        best()


# Measurement


def test_a_window_counts_after_the_warm_up():
    window = Window(CPU, Timing(seconds=0.0))
    window.timing = Timing(seconds=0.0, warm_up=0.0)
    for _ in range(WARM_UP_STEPS):
        window.step()
    assert window.rate == 0.0
    with pytest.raises(Stopped):
        window.step()
    assert window.rate > 0


def test_a_window_on_a_cpu_counts_the_time_that_the_process_computes():
    window = Window(CPU, Timing(seconds=0.2, warm_up=0.0))
    window.step(WARM_UP_STEPS)
    time.sleep(0.3)
    window.step(5)
    computing = time.process_time()
    while time.process_time() < computing + 0.2:
        pass
    with pytest.raises(Stopped):
        window.step(5)
    assert 40 < window.rate < 50


@pytest.mark.parametrize(
    "peer", [Peer("a", 1), Peer("b", 1, 1), *(Peer(name, 1, 8) for name in ("c", "d", "e", "g"))], ids=str
)
def test_each_peer_trains(peer: Peer):
    if reason := missing(peer.name):
        pytest.skip(reason)
    assert run_steps_per_second(0, peer, MLP, CPU, QUICK) > 0


def test_an_inference_only_study():
    measured = measure_inference(study(CPU, levels=(0.1, 1.0)), CPU, rounds=1)
    assert (measured.runs, measured.trainings) == (2 * 16, 1)
    (share,) = measured.forward_share
    assert 0 < share < 1
    assert 1 <= measured.computed_products < 1.2
