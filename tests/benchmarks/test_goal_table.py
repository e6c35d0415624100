"""Comparison of packs with their peers: the ceilings of a device, and the table of goals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from experiments.errors import UserError
from tests.benchmarks.peers import __main__ as benchmark
from tests.benchmarks.peers import comparison, equality_checks
from tests.benchmarks.peers.cases import Case, Goal, cases
from tests.benchmarks.peers.ceilings import (
    Product,
    bytes_per_run_step,
    copy_bandwidth,
    operations_per_run_step,
    parameters,
    products,
)
from tests.benchmarks.peers.comparison import Comparison
from tests.benchmarks.peers.goal_table import Row, Table, comparison_table, inference_table
from tests.benchmarks.peers.inference_study import Inference
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.peers.time_window import Timing

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MLP, *_, LENET = cases(CPU)
QUICK = Timing(rounds=2, seconds=0.01, warm_up=0.0)

pytestmark = pytest.mark.usefixtures("few_samples")


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
