"""Comparison of packs with their peers: the cases, the equality of the peers, and the table. No speed is tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.errors import UserError
from tests.benchmarks.peers import __main__ as benchmark
from tests.benchmarks.peers import comparison, equality_checks, sample_data
from tests.benchmarks.peers.cases import FULL, LEVELS, SEEDS, Case, Goal, cases
from tests.benchmarks.peers.ceilings import (
    Product,
    bytes_per_run_step,
    copy_bandwidth,
    operations_per_run_step,
    parameters,
    products,
)
from tests.benchmarks.peers.comparison import Comparison
from tests.benchmarks.peers.ensemble import TITLES, missing
from tests.benchmarks.peers.equality_checks import changed
from tests.benchmarks.peers.goal_table import Row, Table, comparison_table, inference_table
from tests.benchmarks.peers.inference_study import Inference, measure_inference, study
from tests.benchmarks.peers.peer import Peer, ensemble, run_steps_per_second, usual
from tests.benchmarks.peers.time_window import WARM_UP_STEPS, Timing, Window
from tests.benchmarks.peers.usual_training import Noise, plain_network
from tests.benchmarks.peers.vmap_training import VmapEnsemble
from walking_noise import RunConfig, Stopped
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MLP, OWN_SEEDS, GLOBAL, LENET = cases(CPU)
QUICK = Timing(rounds=2, seconds=0.01, warm_up=0.0)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a few random images; the tests read no data sets."""
    monkeypatch.setattr(sample_data, "SAMPLES", {"mnist": (300, 250), "cifar10": (300, 250)})
    caches = sample_data.samples, ensemble
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


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


@pytest.mark.parametrize("case", [*cases(CPU), *cases(GPU)], ids=lambda case: case.title)
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


# Equality of the peers


@pytest.mark.parametrize("case", cases(CPU), ids=lambda case: case.title)
def test_the_peers_compute_the_same(case: Case):
    equality_checks.check(case, CPU)


def test_a_different_plain_network_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def biased(config: RunConfig, noisy: bool = True) -> nn.Sequential:
        network = plain_network(config, noisy)
        with torch.no_grad():
            next(reversed(list(network.parameters())))[0] += 0.1
        return network

    monkeypatch.setattr(equality_checks, "plain_network", biased)
    with pytest.raises(UserError, match="the logits of a pack and of the plain networks differ by"):
        equality_checks.check(MLP, CPU)


def test_a_different_run_in_a_pack_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def reseeded(configs: list[RunConfig], *rest: Any) -> list[TrainedNetwork]:
        single = len(configs) == 1
        return train_pack([changed(config, {"seed": config.seed + single}) for config in configs], *rest)

    monkeypatch.setattr(equality_checks, "train_pack", reseeded)
    with pytest.raises(UserError, match="the losses of a run in a pack and by itself differ by"):
        equality_checks.check(MLP, CPU)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"noise.std": 1.1}, r"has the level 1\.(09|10)"), ({"noise.point": 4}, "has noise after fc2, not after bn2")],
)
def test_different_noise_is_an_error(changes: Mapping[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch):
    def noisier(config: RunConfig) -> nn.Sequential:
        return plain_network(changed(config, dict(changes)))

    monkeypatch.setattr(equality_checks, "plain_network", noisier)
    with pytest.raises(UserError, match=fault):
        equality_checks.check_noise(MLP, CPU)


def checked(case: Case, name: str) -> None:
    """Check a small ensemble of the runs of a case."""
    images = sample_data.samples(case.data)
    equality_checks.check_ensemble(case, name, ensemble(name, tuple(case.pack(3, 0, 1)), images), images)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, marks=[] if name == "d" else pytest.mark.slow, id=f"{name}: {case.title}")
        for case in cases(CPU)
        for name in case.peers.split()
        if name in TITLES and name != "d'"  # compiling takes a minute; the benchmark itself checks it before timing
    ],
)
def test_an_ensemble_computes_the_same(case: Case, name: str):
    if reason := missing(name):
        pytest.skip(reason)
    checked(case, name)


def rate(ensemble: VmapEnsemble) -> None:
    for group in ensemble.adam.param_groups:
        group["lr"] *= 1.5


def weights(ensemble: VmapEnsemble) -> None:
    ensemble.parameters["fc4.bias"][-1] += 0.1


def level(ensemble: VmapEnsemble) -> None:
    ensemble.statistics["bn2 noise.add"] *= 1.1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (weights, "the logits of d and of the plain networks differ"),
        (rate, "the losses of d and of the plain networks differ"),
        (level, "running_var of d and of the plain networks differ"),
    ],
)
def test_a_different_ensemble_is_an_error(
    fault: Callable[[VmapEnsemble], None], message: str, monkeypatch: pytest.MonkeyPatch
):
    reset = VmapEnsemble.reset

    def changed_reset(self: VmapEnsemble, configs: Sequence[RunConfig], noisy: bool = True) -> None:
        reset(self, configs, noisy)
        fault(self)

    monkeypatch.setattr(VmapEnsemble, "reset", changed_reset)
    with pytest.raises(UserError, match=message):
        checked(MLP, "d")


def test_equal_noise_in_all_runs_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def same_draws(function: Callable[..., Any], in_dims: Any, randomness: str) -> Any:
        return torch.func.vmap(function, in_dims, randomness="same")

    monkeypatch.setattr("tests.benchmarks.peers.vmap_training.vmap", same_draws)
    ensemble.cache_clear()
    with pytest.raises(UserError, match="d draws the same noise for several runs or steps"):
        checked(MLP, "d")


def test_the_noise_layer():
    x = torch.full((10**5,), 2.0)
    torch.manual_seed(0)
    assert (Noise(0.5, 0.0)(x) / x - 1).std() == pytest.approx(0.5, rel=0.02)
    assert (Noise(0.0, 0.3)(x) - x).std() == pytest.approx(0.3, rel=0.02)
    assert Noise(0.5, 0.3)(x).var() == pytest.approx(1.0 + 0.09, rel=0.03)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_usual_data_set_holds_the_same_samples(name: str):
    images = sample_data.samples(name)
    assert images.name == sample_data.RANDOM
    loader = sample_data.usual_loader(name, images, 100, workers=0, pinned=False)
    x, y = next(iter(loader))
    assert (x.shape, y.shape, len(loader)) == ((100, *images.train_samples.shape[1:]), (100,), 3)
    from torchvision.transforms import ToTensor

    loader.dataset.transform = ToTensor()  # type: ignore[attr-defined]
    pixels, label = loader.dataset[7]
    assert torch.equal(pixels, images.train_samples[7] / 255)
    assert label == images.train_labels[7]


@pytest.mark.data
@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("cifar10", "CIFAR10")])
def test_the_usual_data_set_equals_torchvisions(name: str, kind: str, data_root: Path, monkeypatch: pytest.MonkeyPatch):
    from torchvision import datasets

    monkeypatch.setenv("WALKING_NOISE_DATA", str(data_root))
    images = sample_data.samples(name)
    assert images.name == name
    ours: Any = sample_data.usual_loader(name, images, 128, workers=0, pinned=False).dataset
    theirs = getattr(datasets, kind)(data_root, transform=ours.transform)
    for index in (0, 1, 1234, len(theirs) - 1):
        torch.manual_seed(index)
        x, y = ours[index]
        torch.manual_seed(index)
        expected, label = theirs[index]
        assert torch.equal(x, expected)
        assert y == label
    assert len(ours) == len(theirs)


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
    assert 0 < measured.clean_passes <= 1


# Ceilings


def test_products_of_lenet():
    conv1, conv2, fc1, fc2, fc3 = products(LENET.config)
    assert conv1 == Product(3 * 32**2, 6 * 28**2, 6 * 14**2, 2, 6 * 75 * 28**2)
    assert conv2 == Product(6 * 14**2, 16 * 10**2, 400, 2, 16 * 150 * 10**2)
    assert (fc1, fc2) == (Product(400, 120, 120, 2, 400 * 120), Product(120, 84, 84, 2, 120 * 84))
    assert fc3 == Product(84, 10, 10, 0, 840)


def test_bytes_and_operations_of_the_mlp():
    hidden = 784 * 64 + 2 * 64 * 64 + 64 * 10
    assert parameters(MLP.config) == hidden + 3 * 3 * 64 + 10
    assert operations_per_run_step(MLP.config) == 128 * (6 * hidden - 2 * 784 * 64)
    products_only = 3 * 3 * 64 + 2 * (3 * 64 + 10)
    chains = 3 * (2 + 2 * 2 + 1) * 64
    activations = 128 * (4 * (products_only + chains) + 13 * 784)
    assert bytes_per_run_step(MLP.config) == activations + 40 * parameters(MLP.config)
    shared = bytes_per_run_step(MLP.config, members_per_batch=8)
    assert bytes_per_run_step(MLP.config) - shared == pytest.approx(128 * 13 * 784 * 7 / 8)


def test_copy_bandwidth(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.benchmarks.peers.ceilings.COPIED", {"cpu": 2**20})
    assert len(copy_bandwidth(CPU, 2)) == 2


# Table


def compared(case: Case, **rounds: list[list[float]]) -> Comparison:
    peers = (Peer("a", 2), Peer("b", 2, 1), Peer("c", 2, 16))
    return Comparison(case, True, peers, rounds)


def test_goals():
    assert Goal(2.0).met(2.0)
    assert not Goal(2.0).met(1.99)
    assert Goal(2.0, at_most=True).met(2.0)
    assert not Goal(2.0, at_most=True).met(2.01)


def test_ratios_are_taken_round_by_round():
    measured = compared(
        MLP, a=[[1.0, 1.0], [2.0, 2.0], [1.0, 2.0]], b=[[10.0, 10.0]] * 3, c=[[16.0, 16.0], [26.0, 34.0], [24.0, 24.0]]
    )
    assert measured.ratios("c", "a") == [16.0, 15.0, 16.0]
    assert measured.ratios("c", "a", "b") == [1.6, 3.0, 2.4]
    case = replace(MLP, goals={"a": Goal(15), "b": Goal(1.3), "a b": Goal(2.5), "d": Goal(1)})
    table = comparison_table(replace(measured, case=case, missing={"d": "no vmap"}))
    a, _, c, against_a, against_b, against_both = table.rows
    assert a.figures == (500.0, 250.0, 1000 / 3)
    assert c.figures == (31.25, 1000 / 60, 1000 / 48)
    assert (against_a.median, against_a.met) == (16.0, True)
    assert (against_b.figures, against_b.met) == ((1.6, 3.0, 2.4), True)
    assert (against_both.what, against_both.met) == ("(c) against the fastest of (a), (b)", False)
    assert table.title.endswith(" operations\n  (d) torch.func.vmap: not measured, no vmap")
    slower = replace(measured, case=case, rounds={**measured.rounds, "c": [[12.0, 12.0]] * 3})
    assert [row.met for row in comparison_table(slower).rows[-3:]] == [False, False, False]


def test_the_share_of_unavoidable_traffic():
    case = replace(LENET, traffic_goal=0.5)
    measured = compared(case, a=[[1.0]] * 2, b=[[1.0]] * 2, c=[[1000.0], [2000.0]])
    *_, row = comparison_table(measured, copied=[1e11, 1e11]).rows
    members = case.pack(16, 0, 2)
    moved = bytes_per_run_step(case.config, len(members) / len({member.seed for member in members}))
    assert row.figures == pytest.approx((1000 * moved / 1e11, 2000 * moved / 1e11))
    assert row.goal == Goal(0.5)


def test_the_text_of_a_table():
    table = Table(
        "Case", (Row("(c) against (a)", (16.2, 15.9, 15.0), Goal(15), unit=" times"), Row("speed", (1234.5,)))
    )
    assert str(table).splitlines() == [
        "Case",
        "  (c) against (a)" + 41 * " " + "15.90 times  15.00 .. 16.20          >= 15    met",
        "  speed" + 48 * " " + "1,234.50",
    ]
    assert str(Row("share", (0.794,), Goal(0.8), ".0%")).split() == ["share", "79%", ">=", "80%", "missed"]
    inference = inference_table(Inference("study", 32, 1, (0.9, 0.7, 0.85), 1.0))
    assert [row.met for row in inference.rows] == [True, True, True]


def test_missed_goals_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(benchmark, "TIMING", QUICK)
    unreachable = replace(MLP, peers="a b c", goals={"a": Goal(1e9), "b": Goal(0.0)})
    monkeypatch.setattr(benchmark, "cases", lambda device: [unreachable])
    record = benchmark.against_peers(CPU, ["mlp"])
    assert [row.met for row in record.tables[0].rows] == [None, None, None, False, True]
    printed = capsys.readouterr().out
    assert "1 of 2 goals met, 1 missed" in printed
    assert ">= 1e+09 missed" in printed


def test_different_peers_are_not_timed(monkeypatch: pytest.MonkeyPatch):
    def noisy_logits(case: Case, what: str, ours: Tensor, expected: Tensor) -> None:
        raise UserError("they differ")

    monkeypatch.setattr(equality_checks, "_compare", noisy_logits)
    monkeypatch.setattr(comparison, "peers_of", None)
    with pytest.raises(UserError, match="they differ"):
        comparison.compare(MLP, CPU, QUICK, print)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # workers of a DataLoader
def test_the_table_of_a_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmark, "TIMING", QUICK)
    monkeypatch.setattr(comparison, "GPU_PACKS", (8, 16))
    monkeypatch.setattr(comparison, "_cores", lambda: 2)
    record = benchmark.against_peers(GPU, ["mlp", "lenet5"])
    goals = [row.goal.value for table in record.tables for row in table.rows if row.goal is not None]
    assert goals == [50, 8, 0.5, 1, 0.8, 1]
    assert all(figure > 0 for table in record.tables for row in table.rows for figure in row.figures)
