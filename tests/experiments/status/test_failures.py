"""``walking-noise failures``: groups of equal causes, suspect nodes, and commands that reset exactly their runs."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient

from experiments.cli.app import main
from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE
from experiments.errors import UserError
from experiments.status.failures.failure_text import attempts_of
from experiments.status.failures.reset_commands import MAX_IDS, reset_commands
from experiments.worker.failures.failure_groups import grouped
from experiments.worker.failures.suspect_nodes import find_suspects
from experiments.worker.records.causes import cause_of, normalised
from tests.experiments.shell import Shell, choice, write_grid
from tests.experiments.worker.claiming import Fill, statuses
from tests.experiments.worker.past import OUT_OF_MEMORY, attempt, fail, worker


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tried to allocate 20.00 MiB. GPU 0 has 79.10 GiB", "Tried to allocate 1.5 GiB. GPU 1 has 10 GiB"),
        ("no such file: '/data/a/x-1.pt'", "no such file: '/scratch/b.pt'"),
        ("loss is -1e-5 at step 1,204", "loss is +3.5 at step 7"),
        ("token 3c831033190b4a20bebd9b39158eadbb", "token 9b39158eadbb3c831033190b4a20bebd"),
        ("at 0x7f3b n07 says no", "at 0x01 n07 says no"),
        ("no heartbeat since 2026-11-22 17:34:47.123", "no heartbeat since 2025-01-02 03:04:05.678"),
        ("shape [3, 4, 5]", "shape [64, 10]"),
    ],
)
def test_equal_causes(one: str, other: str):
    assert normalised(one, "n07") == normalised(other, "n07")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ended by signal 9", "ended by signal 11"),
        ("ended with exit code 1", "ended with exit code 2"),
        ("[Errno 28] No space", "[Errno 5] No space"),
        ("conv1 is missing", "conv2 is missing"),
        ("cuda.float32", "cuda.float16"),
    ],
)
def test_different_causes(one: str, other: str):
    assert normalised(one) != normalised(other)


def test_cause_of_a_trace():
    trace = [line.format(run=3, host="n07") for line in OUT_OF_MEMORY]
    expected = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate N bytes on NODE (pack.py, in forward)"
    assert cause_of(trace, "n07") == expected
    assert cause_of(["\n".join(trace)], "n07") == expected
    assert cause_of(["noise.std: -1 is refused\n"]) == "noise.std: N is refused"
    assert cause_of(["the worker ended by signal 9; the end of its log:\n", "step 1\n"]).startswith("the worker ended")
    assert cause_of(["WALKING_NOISE_PACK_SIZE: '0' is refused\n"]) == "WALKING_NOISE_PACK_SIZE: '0' is refused"
    assert cause_of([]) == "no reason recorded"
    assert len(cause_of(["x" * 1000])) == 200


@pytest.fixture
def study(runs: Runs, pending_runs: Fill) -> Runs:
    """Ten runs: four out of memory on n07, one refused on n01, two killed, one released, two completed."""
    pending_runs([{}] * 10)
    broken, sound = worker(runs, host="n07", failed=4), worker(runs, host="n01", failed=1, completed=2)
    fail(runs, [2, 3, 4, 9], broken)
    fail(runs, [5], sound, ["noise.std: -1 is refused"])
    runs.update_many({"_id": {"$in": [6, 7]}}, {"$set": {"status": "KILLED"}})
    attempt(runs, 8, worker(runs, host="n02", end="SIGTERM"), "GIVEN_BACK", "SIGTERM")
    runs.update_many({"_id": {"$in": [1, 10]}}, {"$set": {"status": "COMPLETED"}})
    return runs


def test_printed_text(study: Runs, found_by_commands: None, capsys: pytest.CaptureFixture[str]):
    assert main(["failures", study.name]) == 0
    printed = capsys.readouterr().out.replace(study.name, "mnist")
    assert printed == (Path(__file__).parent / "failures.txt").read_text()


Command = Callable[..., str]


@pytest.fixture
def command(found_by_commands: None, capsys: pytest.CaptureFixture[str]) -> Command:
    """What ``walking-noise failures`` with these arguments prints."""

    def printed(*arguments: str) -> str:
        assert main(["failures", *arguments]) == 0
        return capsys.readouterr().out

    return printed


def test_commands_reset_exactly_their_runs(study: Runs, shell: Shell, command: Command):
    for number, expected in enumerate(({2, 3, 4, 9}, {5}, {6, 7})):
        before = statuses(study)
        lines = command(study.name).splitlines()
        reset = next(line.removeprefix("   reset: ") for line in lines if line.startswith("   reset: "))
        shell.run("bash", "-c", reset)
        after = statuses(study)
        assert {run for run in after if after[run] != before[run]} == expected, number
        assert {after[run] for run in expected} == {"STAGED"}
    assert command(study.name).startswith("0 runs FAILED now; 6 unsuccessful attempts")


@pytest.mark.slow
def test_runs_that_failed_by_an_option_are_completed_by_the_advised_commands(
    shell: Shell, client: MongoClient[Document], tmp_path: Path, command: Command
):
    """Two of three runs fail by an option that is stored with them, while the third is completed."""
    runs, grid = client[DATABASE]["by_option"], write_grid(tmp_path, grid={"seed": choice(0, 1, 2)})
    shell.run("walking-noise", "add", runs.name, str(grid))
    shell.run("walking-noise", "start", runs.name, "--local", "-n", "1")
    stored = {"seml.env.WALKING_NOISE_STATE_QUOTA": "20 GB"}
    assert runs.update_many({"status": "STAGED"}, {"$set": stored}).modified_count == 2
    shell.run("walking-noise", "start", runs.name, "--local")
    lines = command(runs.name).splitlines()
    assert lines[2].endswith(
        "WALKING_NOISE_STATE_QUOTA: '20 GB' is refused; allowed: a number of bytes, for example 500M or 20G"
    )
    (advice,) = [line for line in lines if "a reset keeps the variable" in line]
    delete, add, start = re.findall("`(.+?)`", advice)
    for one in (delete, add.replace("FILE", str(grid)), f"{start} --local"):
        shell.run("bash", "-c", one)
    assert list(statuses(runs).values()) == ["COMPLETED"] * 3


def test_failures_are_known_after_a_reset(study: Runs, shell: Shell, command: Command):
    shell.run("seml", study.name, "reset", "-y", "-s", "FAILED")
    printed = command(study.name)
    assert "4 attempts at 4 runs: torch.OutOfMemoryError" in printed
    assert f"walking-noise failures {study.name} --run " in printed
    history = command(study.name, "--run", "3")
    assert "on n07: FAILED: If reserved memory is large" in history
    assert "    torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.25 GiB on n07" in history
    assert "no unsuccessful attempt at run 1 is recorded" in command(study.name, "--run", "1")
    with pytest.raises(UserError, match="has no run 999"):
        list(attempts_of(study.database, study.name, 999))


def test_failed_runs_without_a_history(runs: Runs, pending_runs: Fill):
    pending_runs([{}] * 3)
    trace = ["Traceback:\n", '  File "/x/a.py", line 3, in f\n', "ValueError: 3\n"]
    host = {"hostname": "n03"}
    runs.update_many({"_id": {"$lt": 3}}, {"$set": {"status": "FAILED", "fail_trace": trace, "host": host}})
    (group,) = grouped(runs.database, [runs.name])
    assert (group.cause, group.failed, group.attempts) == ("ValueError: N (a.py, in f)", {runs.name: [1, 2]}, 2)
    assert group.nodes == {"n03": 2}


def test_each_attempt_is_counted_once(runs: Runs, pending_runs: Fill):
    pending_runs([{}])
    for _ in range(3):
        fail(runs, [1], worker(runs))
    (group,) = grouped(runs.database, [runs.name])
    assert (group.attempts, group.failed_count, len(group.runs)) == (3, 1, 1)


def test_causes_of_several_collections(study: Runs, client, pending_runs: Fill):
    other = study.database[f"{study.name}_other"]
    other.insert_many([{"_id": 2, "status": "PENDING", "seml": {}}])
    fail(other, [2], worker(other))
    group = grouped(study.database, [study.name, other.name])[0]
    assert group.failed == {study.name: [2, 3, 4, 9], other.name: [2]}
    assert group.attempts == 5


@pytest.mark.parametrize(
    ("ids", "others", "selection"),
    [
        ([7], [], '{"_id": {"$in": [7]}}'),
        ([1, 2, 4], [], '{"_id": {"$in": [1, 2, 4]}}'),
        (range(3, 900), [], '{"_id": {"$gte": 3, "$lte": 899}}'),
        ([1, 2, 4, 9], [3], '{"_id": {"$in": [1, 2, 4, 9]}}'),
        (range(0, 999, 2), [91, 1001], '{"_id": {"$gte": 0, "$lte": 998, "$nin": [91]}}'),
    ],
)  # fmt: skip
def test_commands_are_short(ids, others, selection: str):
    (command,) = reset_commands("c", list(ids), others)
    assert shlex.split(command) == ["seml", "c", "reset", "-y", "-s", "FAILED", "-fd", selection]


def test_commands_that_are_too_long_for_linux_are_split():
    ids, others = list(range(0, 60_000, 2)), list(range(1, 60_000, 2))
    commands = reset_commands("c", ids, others)
    assert len(commands) == len(ids) / MAX_IDS
    assert all(len(command) < 131_071 for command in commands)
    reset = [run for command in commands for run in _listed(command)]
    assert reset == ids


def _listed(command: str) -> list[int]:
    ids: list[int] = json.loads(shlex.split(command)[-1])["_id"]["$in"]
    return ids


def test_a_command_for_hundreds_of_scattered_runs(runs: Runs, shell: Shell):
    runs.insert_many(
        {"_id": run, "status": "FAILED", "seml": {}, "slurm": [{"sbatch_options": {}}], "config": {}, "batch_id": 1}
        for run in range(1500)
    )
    ids = list(range(0, 1500, 3))
    (command,) = reset_commands(runs.name, ids, sorted(set(range(1500)) - set(ids)))
    shell.run("bash", "-c", command)
    assert [run for run, status in statuses(runs).items() if status == "STAGED"] == ids


def faults(failed: dict[str, int]) -> dict[str, Counter[str]]:
    return {node: Counter({"CUDA error": count}) for node, count in failed.items()}


def test_a_suspect_node():
    (suspect,) = find_suspects(faults({"n07": 38, "n01": 2, "n02": 1}), {"n07": 40, "n01": 100, "n02": 110})
    assert (suspect.node, suspect.failed, suspect.workers) == ("n07", 38, 40)
    assert (suspect.failed_elsewhere, suspect.workers_elsewhere) == (3, 210)
    assert suspect.p_value < 1e-30


@pytest.mark.parametrize(
    ("failed", "workers"),
    [
        ({"n01": 2}, {"n01": 3, "n02": 3}),  # too few workers
        ({"n01": 40}, {"n01": 40}),  # no other node
        ({"n01": 20, "n02": 20, "n03": 21}, {"n01": 20, "n02": 20, "n03": 21}),  # the cause is everywhere
        ({}, {"n01": 100, "n02": 100}),
    ],
)
def test_no_suspect_nodes(failed: dict[str, int], workers: dict[str, int]):
    assert find_suspects(faults(failed), workers) == []


def test_a_suspect_node_is_printed(runs: Runs, found_by_commands: None, capsys: pytest.CaptureFixture[str]):
    runs.insert_one({"_id": 1, "status": "PENDING", "seml": {}})
    for number in range(24):
        one = worker(runs, host="n07" if number < 8 else "n01")
        if number < 8:
            attempt(runs, 1, one, "LOST", "Slurm task has ended")
    assert main(["failures", runs.name]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "node n07: 8 of 8 workers failed (Slurm task has ended), on all other nodes 0 of 16 (p = 3e-06); "
    )
    assert line.endswith(f"after its repair run `walking-noise failures {runs.name} --forget`")


def test_no_failures(runs: Runs, pending_runs: Fill, found_by_commands: None, capsys: pytest.CaptureFixture[str]):
    assert main(["failures", runs.name]) == 1
    assert capsys.readouterr().err.startswith(f"walking-noise: there is no collection '{runs.name}'; there are: ")
    pending_runs([{}])
    assert main(["failures", runs.name]) == 0
    assert capsys.readouterr().out == "no run has failed\n"
