"""``walking-noise plan``: its numbers, its table, and the errors of invalid files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from experiments import slurm
from experiments.cli.app import main
from experiments.database import connection
from experiments.plan.demand import Demand
from experiments.plan.grid_files import GridError, expand, find
from experiments.plan.run_counts import SAMPLES, count_runs
from experiments.plan.study_plan import plan
from experiments.plan.throughput import Device, Kind, Rate, save
from tests.experiments.shell import Shell, choice, write_grid
from walking_noise import RunConfig, data
from walking_noise.runtime.planner import plan_packs, plan_trainings
from walking_noise.runtime.sizing import capacity

WALKING: dict[str, Any] = {
    "fixed": {"noise.kind": "multiplicative"},
    "grid": {
        "seed": choice(0, 1),
        "noise.point": choice(0, 3),
        "noise.in_training": choice(True, False),
        "noise.std": choice(0.0, 0.5, 1.0),
    },
}
SPEED = Rate(Kind((1, 28, 28), 10, "mlp", False, 128), pack_size=3, step_seconds=1e-3, sample_seconds=1e-5, spread=0.1)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A working directory and a cache for each test, no Slurm, no GPU."""
    monkeypatch.setattr(capacity, "default_device", lambda: torch.device("cpu"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(slurm, "max_array_size", lambda: None)


def grid(name: str, **sections: Any) -> Path:
    """Write a grid file to the working directory."""
    folder = Path.cwd()
    write_grid(folder, **sections).rename(folder / name)
    return Path(name)


def with_seeds(*seeds: int) -> dict[str, Any]:
    return {**WALKING, "grid": {**WALKING["grid"], "seed": choice(*seeds)}}


def test_the_counts_are_those_of_training():
    file = grid("walking.yaml", **WALKING)
    configs = [RunConfig.from_dict(settings) for settings in expand(file)]
    (row,) = plan([count_runs(file)], None)
    assert (row.counts.runs, row.documents, row.counts.noisy) == (24, 24, 8)
    assert row.distinct == len({config.run_key for config in configs}) == 2 + 2 * 2 * 2 * 2
    assert row.trainings == len(plan_trainings(configs)) == 2 + 8
    for size in (1, 3, 100):
        pack_sizes = {config.pack_key: size for config in configs}
        assert row.packs(lambda _, size=size: size) == len(list(plan_packs(configs, pack_sizes, processes=1)))  # type: ignore[misc]


def test_optional_lists_in_the_settings_of_packs(capsys: pytest.CaptureFixture[str]):
    file = grid("widths.yaml", grid={"model.hidden": choice([8], None, [8, 8])})
    assert main(["plan", str(file)]) == 0
    models = [line.split()[1] for line in capsys.readouterr().out.split("pack settings")[1].splitlines()[1:4]]
    assert set(models) == {"mlp-8", "mlp-8-8", "mlp"}


def test_equal_runs_of_two_files_are_one():
    one, other = grid("one.yaml", **WALKING), grid("other.yaml", **with_seeds(1, 2))
    *files, together = plan([count_runs(one), count_runs(other)], None)
    assert together.counts.name == "all 2 files"
    assert together.counts.runs == sum(row.counts.runs for row in files) == 48
    assert (together.documents, together.distinct, together.trainings) == (3 * 12, 3 * 9, 3 * 5)


def test_different_settings_are_different_documents():
    """A level that two grids have is one document; level 0 at two points is two documents and one run."""
    file = grid(
        "twice.yaml",
        fixed={"noise.point": 0},
        here={"grid": {"noise.std": choice(0.0, 1.0)}},
        there={"grid": {"noise.std": choice(1.0, 2.0)}},
        elsewhere={"fixed": {"noise.point": 1, "noise.std": 0.0}},
    )
    (row,) = plan([count_runs(file)], None)
    assert (row.counts.runs, row.documents, row.distinct) == (5, 4, 3)


def test_evaluations():
    """A network with a level in training of its own is evaluated only by its runs, once for each draw."""
    file = grid(
        "levels.yaml",
        fixed={"training.epochs": 7},
        here={
            "fixed": {"noise.training_std": 0.5, "evaluation.noise_draws": 3},
            "grid": {"noise.std": choice(1.0, 2.0)},
        },
        there={"fixed": {"noise.std": 1.0}},
        elsewhere={"fixed": {"noise.std": 2.0, "evaluation.curve": True}},
    )
    (demand,) = plan([count_runs(file)], None)[-1].demands
    assert (demand.trainings, demand.inference_only, demand.evaluations) == (3, 2, 2 * 3 + 5 + 7)


@pytest.mark.parametrize("validation", ["test", "holdout"])
@pytest.mark.parametrize(
    "name", ["mnist5k", *(pytest.param(name, marks=pytest.mark.data) for name in ("mnist", "cifar10"))]
)
def test_sizes_of_data_sets(name: str, validation: str, request: pytest.FixtureRequest):
    root = None if name == "mnist5k" else request.getfixturevalue("data_root")
    loaded = data.load(name, validation=validation, root=root)
    assert SAMPLES[name, validation] == (len(loaded.train_labels), len(loaded.validation_labels))


def test_hours():
    config = RunConfig.from_dict({"data.name": "mnist", "training.epochs": 100, "noise.std": 1.0})
    device = Device("H100", processes=2, rates=(SPEED,))
    steps, evaluations = 100 * math.ceil(60_000 / 128) * 7, 100 * 2 + 5 * 5 + 11
    seconds = (steps * 1e-3 + evaluations * 10_000 * 1e-5) / 2
    demand = Demand(config, trainings=7, inference_only=11, evaluations=evaluations)
    assert demand.seconds(device) == pytest.approx(seconds)
    unmeasured = RunConfig.from_dict({"model.batch_norm": True})
    assert Demand(unmeasured, trainings=1, inference_only=0, evaluations=5).seconds(device) is None


def test_the_table(capsys: pytest.CaptureFixture[str]):
    save(Path("cache/walking_noise/throughput.json"), Device("H100", processes=1, rates=(SPEED,)))
    grid("walking.yaml", **WALKING)
    kept = {"evaluation.curve": True, "training.keep_network": True}
    norm = {"model.batch_norm": True, "noise.std": 0.5, "training.epochs": 20, "data.validation": "holdout"}
    grid("norm.yaml", fixed=norm | kept)
    assert main(["plan", "walking.yaml", "norm.yaml", "--max-array-size", "10", "--json", "plan.json"]) == 0
    printed = capsys.readouterr().out
    assert printed == (Path(__file__).parent / "plan.txt").read_text()
    *_, together = json.loads(Path("plan.json").read_text())
    assert together.pop("bytes") > 25 * 9_300
    assert together == {
        "name": "all 2 files",
        "runs": 25,
        "documents": 25,
        "distinct": 19,
        "present": None,
        "noisy": 9,
        "kept": 1,
        "trainings": 11,
        "tasks": 25,
        "packs": 5,
        "hours": {"H100": None},
    }


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"fixed": {"noise.sdt": 0.5}}, "noise.sdt: there is no such setting; did you mean noise.std?"),
    "inert": (
        {"fixed": {"noise.std": 0.5, "noise.order": "add_first"}},
        "noise.order: 'add_first' is refused; it has an effect only with mixed noise; leave it out "
        "(in the run with noise.order: add_first, noise.std: 0.5, training.epochs: 1)",
    ),
    "empty": (
        {"fixed": {"seed": 1}, "part": {"grid": {"noise.std": {"type": "uniform", "min": 0, "max": 1, "num": 0}}}},
        "part.noise.std: the grid has no values and would add no run",
    ),
    "range": (
        {"grid": {"seed": {"type": "range", "min": 2, "max": 2, "step": 1}}},
        "seed: the grid has no values and would add no run",
    ),
    "zip": (
        {"grid": {"noise.std": {**choice(1.0), "zip_id": "z"}, "seed": {**choice(1, 2), "zip_id": "z"}}},
        "Parameters with zip_id 'z' have different number of configurations!",
    ),
    "type": ({"grid": {"seed": {"options": [1]}}}, "No type found in parameter {'options': [1]}"),
    "step": (
        {"grid": {"seed": {"type": "range", "min": 0, "max": 2, "step": 0}}},
        "SEML cannot read the file: ZeroDivisionError: division by zero",
    ),
    "yaml": (
        {"fixed": {"data": {"name": "gsc", "keywords": [True, False]}}},
        "data.keywords: [True, False] is refused; allowed: a list of distinct words, none of them silence or unknown; "
        "in YAML put yes, no, on, off in quotes",
    ),
    "min": ({"grid": {"seed": {"type": "range", "max": 2}}}, "SEML cannot read the file: KeyError: 'min'"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_settings(case: str, capsys: pytest.CaptureFixture[str]):
    sections, fault = INVALID[case]
    grid("wrong.yaml", **sections)
    assert main(["plan", "wrong.yaml"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [
        line for line in printed.err.splitlines() if "wrong.yaml: " in line and line != "1 of 1 file: wrong.yaml"
    ]
    assert line.startswith(f"walking-noise: wrong.yaml: {fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1", "line 1: expected ',' or ']', but got '<stream end>'"),
        ("fixed: {seed: 1}", "Please specify a 'seml' dictionary."),
        ("", "the file is empty"),
        ("# nothing yet\n", "the file is empty"),
        ("a: 1\na: 2", "Found duplicate keys: 'a'"),
    ],
)
def test_files_without_a_grid(text: str, fault: str):
    file = Path("wrong.yaml")
    file.write_text(text)
    with pytest.raises(GridError) as error:
        expand(file)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"wrong.yaml: {fault}")


def test_every_invalid_file_is_named(capfd: pytest.CaptureFixture[str]):
    """Several files are read by several processes."""
    grid("right.yaml", **WALKING)
    grid("wrong.yaml", fixed={"noise.std": -1.0})
    grid("worse.yaml", fixed={"noise.point": 99})
    assert main(["plan", "right.yaml", "wrong.yaml", "worse.yaml"]) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert [line.split(": ")[:3] for line in printed.err.splitlines() if line.startswith("walking-noise")] == [
        ["walking-noise", "wrong.yaml", "noise.std"],
        ["walking-noise", "worse.yaml", "noise.point"],
    ]


def test_search_for_files(capsys: pytest.CaptureFixture[str]):
    Path("a/b").mkdir(parents=True)
    for number, name in enumerate(("a/one.yaml", "a/b/two.yaml", "a/b/no.yml")):
        Path(name).write_text(yaml.safe_dump({"fixed": {"seed": number}}))
    both = [Path("a/b/two.yaml"), Path("a/one.yaml")]
    assert sorted(find(["a/**/*.yaml"])) == sorted(find(["a"])) == sorted(find(["a/one.yaml", "a/b/*.yaml"])) == both
    assert sorted(find([str(Path.cwd() / "a" / "**" / "*.yaml"), "a"])) == [Path.cwd() / path for path in both]
    assert find(["a/*"]) == [Path("a/one.yaml")]
    Path("empty").mkdir()
    for pattern, fault in (
        ("a/three.yaml", "there is no such file"),
        ("empty", "there is no YAML file in it"),
    ):
        assert main(["plan", pattern]) == 1
        assert capsys.readouterr().err == f"walking-noise: {pattern}: {fault}\n"


@pytest.mark.parametrize("size", ["0", "-1", "many"])
def test_invalid_array_sizes(size: str, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "grid.yaml", f"--max-array-size={size}"]) == 2
    assert "Invalid value for '--max-array-size': Input should be " in capsys.readouterr().err


def test_runs_that_a_collection_already_has(shell: Shell, configured: None, capsys: pytest.CaptureFixture[str]):
    file = grid("walking.yaml", **WALKING)
    half = grid("half.yaml", **with_seeds(1))
    shell.run("seml", "planned", "add", str(half))
    assert main(["plan", str(file), "--collection", "planned"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, row = (
        line.split() for line in lines[lines.index(next(line for line in lines if line.startswith("file"))) :][:2]
    )
    shown = dict(zip([word for word in head if word != "with"], row, strict=True))
    assert (shown["runs"], shown["present"], shown["tasks"]) == ("24", "12", "12")


def test_without_a_database(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def connect() -> None:
        raise connection.DatabaseError("no database: none is configured")

    monkeypatch.setattr(connection, "connect", connect)
    grid("walking.yaml", **WALKING)
    assert main(["plan", "walking.yaml", "--collection", "table1"]) == 0
    printed = capsys.readouterr()
    assert (
        "walking-noise: the runs in collection table1 are not counted: no database: none is configured\n" in printed.err
    )
    assert "present" not in printed.out


def test_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str]):
    grid("walking.yaml", **WALKING)
    Path("folder").mkdir()
    assert main(["plan", "walking.yaml", "--json", "folder"]) == 1
    assert capsys.readouterr().err.endswith("walking-noise: folder: cannot be written: Is a directory\n")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["folder", "walking.yaml"]
