"""Grid files of the studies: numbers of runs as in their comments and the table here; models, levels and epochs."""

from __future__ import annotations

import gc
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from experiments.plan.grid_files import expand
from tests.experiments.shell import ROOT, Shell
from walking_noise import RunConfig, models

GRIDS = ROOT / "seml_configs"
FILES = sorted(GRIDS.rglob("*.yaml"))
SWITCH = ("<<: *papers", "<<: *release")
FULLY_EXPANDED = [GRIDS / f"{name}.yaml" for name in (
    "demo", "coarse", "learning_curves/cifar10", "maximum_noise/gsc", "mixed/gsc", "table1/mnist", "walking/gsc",
    "walking_clamped/gsc",
)]  # fmt: skip
"""Cheap files, one of each folder."""


class Counts(NamedTuple):
    """Numbers of a study.

    Attributes
    ----------
    runs, noisy
        All runs, and the runs trained with noise.
    release, noisy_release
        The same numbers with the release's repetitions.
    distinct, networks
        With seed 0 only: runs that do different things, and networks to train for them.
    """

    runs: int
    noisy: int
    release: int
    noisy_release: int
    distinct: int
    networks: int


STUDIES = {
    "learning_curves/cifar10": Counts(170, 170, 340, 340, 34, 34),
    "maximum_noise/cifar10": Counts(6_816, 6_804, 6_816, 6_804, 1_136, 1_136),
    "maximum_noise/fashion_mnist": Counts(6_816, 6_804, 6_816, 6_804, 1_136, 1_136),
    "maximum_noise/gsc": Counts(5_556, 5_544, 5_556, 5_544, 926, 926),
    "maximum_noise/mnist": Counts(6_978, 6_966, 6_978, 6_966, 1_163, 1_163),
    "maximum_noise/svhn": Counts(6_816, 6_804, 6_816, 6_804, 1_136, 1_136),
    "mixed/cifar10": Counts(38_650, 19_325, 54_350, 27_175, 12_430, 6_219),
    "mixed/gsc": Counts(31_900, 15_950, 30_540, 15_270, 10_180, 5_094),
    "mixed/mnist": Counts(38_650, 19_325, 65_550, 32_775, 12_430, 6_219),
    "mixed/point5": Counts(30_750, 30_750, 30_750, 30_750, 6_078, 6_078),
    "table1/cifar10": Counts(2_420, 1_180, 3_540, 1_720, 476, 244),
    "table1/fashion_mnist": Counts(2_420, 1_180, 2_424, 1_180, 476, 244),
    "table1/gsc": Counts(2_620, 1_280, 1_600, 768, 516, 264),
    "table1/mnist": Counts(2_220, 1_080, 4_440, 2_160, 436, 224),
    "table1/svhn": Counts(2_420, 1_180, 2_424, 1_180, 476, 244),
    "walking/cifar10": Counts(31_302, 15_510, 43_734, 21_670, 10_250, 5_127),
    "walking/fashion_mnist": Counts(31_302, 15_510, 31_302, 15_510, 10_250, 5_127),
    "walking/gsc": Counts(25_308, 12_540, 25_308, 12_540, 8_288, 4_146),
    "walking/mnist": Counts(47_094, 23_406, 78_490, 39_010, 15_514, 7_759),
    "walking/svhn": Counts(31_302, 15_510, 31_302, 15_510, 10_250, 5_127),
    "walking_clamped/cifar10": Counts(13_818, 6_909, 19_306, 9_653, 4_606, 2_307),
    "walking_clamped/fashion_mnist": Counts(13_818, 6_909, 13_818, 6_909, 4_606, 2_307),
    "walking_clamped/gsc": Counts(11_172, 5_586, 11_172, 5_586, 3_724, 1_866),
    "walking_clamped/mnist": Counts(11_562, 5_781, 19_270, 9_635, 3_854, 1_931),
    "walking_clamped/svhn": Counts(13_818, 6_909, 13_818, 6_909, 4_606, 2_307),
}

OTHER_NETWORKS = {
    "resnet20/cifar10": Counts(9_990, 0, 9_990, 0, 3_271, 1),
    "vgg11/cifar10": Counts(10_323, 0, 10_323, 0, 3_380, 1),
}
"""Studies of networks that neither the papers nor the release study."""

WITHOUT_RELEASE = {
    "executions/cifar10": Counts(3_213, 0, 3_213, 0, 1_071, 4),
    "executions/mnist": Counts(3_213, 0, 3_213, 0, 1_071, 4),
    "information/mnist": Counts(420, 195, 420, 195, 135, 70),
    "noisy_machines/cifar10": Counts(4_536, 4_320, 4_536, 4_320, 1_510, 84),
    "noisy_machines/fashion_mnist": Counts(4_536, 4_320, 4_536, 4_320, 1_510, 84),
    "noisy_machines/mnist": Counts(4_536, 4_320, 4_536, 4_320, 1_510, 84),
}
"""Studies of later papers, without released grids."""

EPOCHS = {
    ("mnist", "mlp"): 100,
    ("mnist", "lenet5"): 50,
    ("fashion_mnist", "mlp"): 250,
    ("fashion_mnist", "lenet5"): 200,
    ("svhn", "mlp"): 300,
    ("svhn", "lenet5"): 200,
    ("cifar10", "mlp"): 200,
    ("cifar10", "lenet5"): 300,
    ("gsc", "mlp"): 150,
    ("gsc", "cnn_s"): 150,
}
POINTS = {("mlp", False): 8, ("mlp", True): 11, ("lenet5", False): 12, ("lenet5", True): 16}
POINTS |= {("cnn_s", norm): POINTS["mlp", norm] for norm in (False, True)}
BOTH = (False, True)


ALIKE = (
    "executions/cifar10", "maximum_noise/fashion_mnist", "maximum_noise/svhn", "noisy_machines/cifar10",
    "noisy_machines/fashion_mnist", "resnet20/cifar10",
)  # fmt: skip
"""Studies of which another one has the same form."""


def large(study: str) -> bool:
    """Whether a study has many thousand runs, or the form of another one; those of the other data sets are alike."""
    many = study.startswith(("mixed/", "walking/", "walking_clamped/")) and not study.endswith("gsc")
    return many or study in ALIKE


def very_large(study: str) -> bool:
    """Whether a study has more than ten thousand runs, whose keys and whose release's repetitions take seconds."""
    return large(study) or study in ("mixed/gsc", "walking/gsc")


def marked(values: Iterable[Any], study: Callable[[Any], str] = str, slow: Callable[[str], bool] = large) -> list[Any]:
    return [pytest.param(value, marks=[pytest.mark.slow] * slow(study(value)), id=study(value)) for value in values]


def name(path: Path) -> str:
    return str(path.relative_to(GRIDS).with_suffix(""))


known: dict[str, RunConfig] = {}


@pytest.fixture(scope="module", autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """Search for no garbage among the runs of all files, which stay until the end."""
    gc.disable()
    yield
    series.cache_clear()
    known.clear()
    gc.enable()


SEEDS = re.compile(r"(seed: (?:&\w+ )?)\{type: range, min: 0, max: (\d+), step: 1\}")
"""A range of seeds: what precedes it, and their number."""


@cache
def series(path: Path, switch: str) -> tuple[tuple[RunConfig, int], ...]:
    """The runs of a file without their repetitions: each run with seed 0, and the number of its seeds.

    They are read from a copy, in which each range of seeds is replaced by one seed: their number. A seed that is not
    in a range is 0.
    """
    text = path.read_text().replace(SWITCH[0], switch)
    repetitions: Counter[str] = Counter()
    for settings in expand(copy_with(path, SEEDS.sub(r"\1{type: choice, options: [\2]}", text))):
        number = max(settings.get("seed", 0), 1)
        settings["seed"] = 0
        key = repr(settings)
        repetitions[key] += number
        if key not in known:
            known[key] = RunConfig.from_dict(settings)
    return tuple((known[key], count) for key, count in repetitions.items())


def copy_with(path: Path, text: str) -> Path:
    """A copy of the file with another text."""
    copy = Path(tempfile.mkdtemp()) / path.name
    copy.write_text(re.sub(r"project_root_dir: \S+", f"project_root_dir: {ROOT}", text))
    return copy


def runs(study: str) -> list[RunConfig]:
    """The runs of a study with seed 0."""
    return [run for run, _ in series(GRIDS / f"{study}.yaml", SWITCH[0])]


def runs_and_noisy(path: Path, switch: str = SWITCH[0]) -> tuple[int, int]:
    counted = series(path, switch)
    return sum(count for _, count in counted), sum(count for run, count in counted if run.noisy_training)


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


def head(path: Path) -> str:
    lines = path.read_text().partition("\nseml:")[0].splitlines()
    return " ".join(" ".join(line.removeprefix("#") for line in lines).split())


def with_release_repetitions(path: Path) -> Path:
    """A copy of the file with the release's repetitions."""
    text = path.read_text()
    assert text.count(SWITCH[0]) == 1
    return copy_with(path, text.replace(*SWITCH))


def test_every_study_is_in_the_table():
    assert {name(path) for path in FILES if path.parent != GRIDS} == (STUDIES | OTHER_NETWORKS | WITHOUT_RELEASE).keys()


@pytest.mark.parametrize("path", marked(FILES, name))
def test_runs_as_in_the_comment(path: Path):
    sentence = re.search(r"([\d,]+ runs), of which ([\d,]+)", head(path))
    assert sentence
    assert tuple(numbers(sentence[0])) == runs_and_noisy(path)


@pytest.mark.parametrize("study", marked(STUDIES | OTHER_NETWORKS | WITHOUT_RELEASE, slow=very_large))
def test_runs_as_in_the_table(study: str):
    path, counts = GRIDS / f"{study}.yaml", (STUDIES | OTHER_NETWORKS | WITHOUT_RELEASE)[study]
    assert runs_and_noisy(path) == (counts.runs, counts.noisy)
    planned = runs(study)
    assert len({run.run_key for run in planned}) == counts.distinct
    assert len({run.network_key for run in planned}) == counts.networks
    if SWITCH[0] in path.read_text():
        release = runs_and_noisy(path, SWITCH[1])
        (in_comment,) = re.findall(r"\(([\d,]+ and [\d,]+) with the release's", head(path)) or [
            f"{counts.runs} {counts.noisy}"
        ]
        assert numbers(in_comment) == list(release)
    else:
        release = (counts.runs, counts.noisy)
    assert release == (counts.release, counts.noisy_release)


@pytest.mark.parametrize("path", marked(FULLY_EXPANDED, name, very_large))
def test_each_run_of_a_series_is_planned_with_its_seeds(path: Path):
    """For a file of each folder, what :func:`series` assumes: a range of seeds has the seeds 0, 1, … up to max."""
    counted, seeds = series(path, SWITCH[0]), dict[str, list[int]]()
    for settings in expand(path):
        seed = settings.get("seed", 0)
        seeds.setdefault(repr(settings | {"seed": 0}), []).append(seed)
    assert tuple((known[key], len(each)) for key, each in seeds.items()) == counted
    assert all(set(each) == set(range(max(each) + 1)) for each in seeds.values())


def test_all_studies_are_those_of_the_release():
    """The release has 635,120 runs, 289,945 of them trained with noise; its multi-execution runs train no network."""
    assert sum(counts.release for counts in STUDIES.values()) == 516_460
    not_in_release = 340 + 27 * 6  # learning curves; maximum noise of MNIST at 1e16
    at_level_0 = 2 * 61 + 47 * 5 + 28 * 5 + 19 * 3 + 2 * 47 * 3 + 38 * 3  # global; walking: the release counts them
    noisy = sum(counts.noisy_release for counts in STUDIES.values()) - not_in_release + at_level_0
    assert noisy == pytest.approx(289_945, rel=0.0012)


@pytest.mark.parametrize("study", marked(STUDIES))
def test_models_epochs_and_learning_rates_of_the_release(study: str):
    for run in runs(study):
        training = run.training
        assert training.epochs == EPOCHS[run.data.name, run.model.name]
        assert (training.batch_size, training.learning_rate) == ((512, 5e-4) if run.data.name == "gsc" else (128, 1e-3))
        assert training.weight_clamp in (None, 1.0)
        assert (run.data.transform, run.data.validation, run.data.keywords) == ("release", "test", None)
        assert run.noise.gradient == "exact"
    models = {(run.data.name, run.model.name) for run in runs(study)}
    assert models <= set(EPOCHS)
    if not study.startswith(("mixed/point5", "learning_curves")):
        assert models == {(data, model) for data, model in EPOCHS if data == study.partition("/")[2]}


@pytest.mark.parametrize("path", [path for path in FILES if path.parent != GRIDS], ids=name)
def test_read_by_seml(path: Path):
    from seml.experiment.config import read_config

    seml, slurm, _ = read_config(path)
    assert Path(seml["working_dir"]) == ROOT
    assert seml["executable"] == "experiments/train.py"
    assert seml["use_uploaded_sources"]
    for options in slurm:
        assert options["sbatch_options"]["gres"] == "gpu:1"
        assert options.get("experiments_per_job", 1) == 1


def levels(selected: Iterable[RunConfig], setting: str = "std") -> list[float]:
    return sorted({getattr(run.noise, setting) for run in selected})


def of_kind(selected: Iterable[RunConfig], kind: str, clamp: float | None = None) -> list[RunConfig]:
    return [run for run in selected if run.noise.kind == kind and run.training.weight_clamp == clamp]


RATIOS = [0.01, 0.1, 0.5, 0.9, 0.99]


@pytest.mark.parametrize("data", ["mnist", "fashion_mnist", "svhn", "cifar10", "gsc"])
def test_table_1(data: str):
    planned = runs(f"table1/{data}")
    for model in [model for name, model in EPOCHS if name == data]:
        to_2 = model == "lenet5" or data == "mnist"
        for norm in BOTH:
            here = [run for run in planned if run.model.name == model and run.model.batch_norm == norm]
            assert len(of_kind(here, "none")) == 1
            for in_training in BOTH:
                some = [r for r in here if r.noise.kind != "none" and r.noise.in_training == in_training]
                assert {run.noise.point for run in some} == {"global"}
                assert {run.noise.on_batch_norm for run in some} == {not norm}
                for clamp in (None, 1.0):
                    assert levels(of_kind(some, "additive", clamp)) == pytest.approx(np.logspace(-2, 2, 17))
                multiplicative = np.linspace(0, 2, 21) if to_2 else np.linspace(0, 3, 31)
                assert levels(of_kind(some, "multiplicative")) == pytest.approx(multiplicative)


@pytest.mark.parametrize("data", marked(["mnist", "fashion_mnist", "svhn", "cifar10", "gsc"], "walking/{}".format))
def test_walking_has_every_point(data: str):
    additive = np.logspace(-2, 8, 41) if data == "mnist" else np.logspace(-2, 10, 49)
    linear = np.linspace(0, 6, 61) if data == "mnist" else np.linspace(0, 2, 21)
    logarithmic = np.logspace(0, 16, 65) if data == "mnist" else np.logspace(0, 10, 41)
    free, clamped = runs(f"walking/{data}"), runs(f"walking_clamped/{data}")
    assert {run.training.weight_clamp for run in free} == {None}
    places = Counter((r.model.name, r.model.batch_norm, r.noise.in_training, r.noise.point) for r in free)
    models = [model for name, model in EPOCHS if name == data]
    assert set(places) == {
        (model, norm, in_training, point)
        for model in models
        for norm in BOTH
        for in_training in BOTH
        for point in range(POINTS[model, norm])
    }
    several = {len(additive) + len(np.union1d(linear, logarithmic))}
    assert set(places.values()) == several
    assert {(r.model.name, r.model.batch_norm, r.noise.in_training, r.noise.point) for r in clamped} == set(places)
    for norm in BOTH:
        here = [run for run in free if run.model.batch_norm == norm and run.noise.point == 4]
        assert levels(of_kind(here, "additive")) == pytest.approx(additive)
        assert levels(of_kind(here, "multiplicative")) == pytest.approx(np.union1d(linear, logarithmic))
        here = [run for run in clamped if run.model.batch_norm == norm and run.noise.point == 4]
        assert levels(of_kind(here, "additive", 1.0)) == pytest.approx(additive)


@pytest.mark.parametrize("study", marked(OTHER_NETWORKS))
def test_other_networks_have_every_point_and_the_levels_of_the_papers(study: str):
    planned = runs(study)
    of_papers = np.union1d(np.linspace(0, 2, 21), np.logspace(0, 10, 41))
    assert {run.noise.point for run in planned} == set(range(len(planned[0].points)))
    assert levels(of_kind(planned, "additive")) == pytest.approx(np.logspace(-2, 10, 49))
    assert levels(of_kind(planned, "multiplicative")) == pytest.approx(of_papers)


@pytest.mark.parametrize("data", marked(["mnist", "cifar10"], "executions/{}".format))
def test_executions_have_every_point_and_global_noise(data: str):
    places = {(run.model.name, run.model.batch_norm, run.noise.point) for run in runs(f"executions/{data}")}
    assert places == {
        (*model, point) for model, count in POINTS.items() if model[0] != "cnn_s" for point in ("global", *range(count))
    }


def test_the_networks_of_the_information_study_have_about_equally_many_parameters():
    sizes = [models.summary(run.architecture).parameters for run in runs("information/mnist")]
    assert max(sizes) < 1.03 * min(sizes)


@pytest.mark.parametrize("data", marked(["mnist", "fashion_mnist", "cifar10"], "noisy_machines/{}".format))
def test_students_share_the_teachers_of_noisy_machines(data: str):
    planned = runs(f"noisy_machines/{data}")
    clean = {run.network_key for run in planned if not run.noisy_training}
    assert {run.teacher.network_key for run in planned if run.teacher} <= clean
    assert all(run.redraw == "chip" and run.noise.target == "weights" for run in planned)
    assert {run.training_redraw for run in planned if run.noisy_training} == {"batch"}


@pytest.mark.parametrize("data", marked(["mnist", "cifar10", "gsc"], "mixed/{}".format))
def test_mixed(data: str):
    planned = runs(f"mixed/{data}")
    assert {run.noise.kind for run in planned} == {"mixed"}
    everywhere = [run for run in planned if run.noise.point == "global"]
    walking = [run for run in planned if run.noise.point != "global"]
    for some, amplitudes in ((everywhere, np.logspace(-2, 2, 17)), (walking, np.logspace(-2, 10, 25))):
        assert levels(some, "amplitude") == pytest.approx(amplitudes)
        assert levels(some, "ratio") == pytest.approx(RATIOS)
    assert {(run.model.batch_norm, run.noise.on_batch_norm) for run in everywhere} == {(False, True), (True, False)}
    places = {(run.model.name, run.model.batch_norm, run.noise.point) for run in walking}
    assert places == {
        (model, norm, point)
        for name, model in EPOCHS
        if name == data
        for norm in BOTH
        for point in range(POINTS[model, norm])
    }


@pytest.mark.parametrize(
    "data", marked(["mnist", "fashion_mnist", "svhn", "cifar10", "gsc"], "maximum_noise/{}".format)
)
def test_maximum_noise(data: str):
    planned = runs(f"maximum_noise/{data}")
    noisy = [run for run in planned if run.noise.kind != "none"]
    assert all(run.model.batch_norm for run in planned)
    assert all(run.noisy_training for run in noisy)
    strongest = [1e10, 1e16] if data == "mnist" else [1e10]
    for model in [model for name, model in EPOCHS if name == data]:
        here = [run for run in noisy if run.model.name == model]
        assert {run.noise.point for run in here} == set(range(POINTS[model, True]))
        assert levels(of_kind(here, "additive")) == [1e10]
        assert levels(of_kind(here, "multiplicative")) == strongest
        mixed = of_kind(here, "mixed")
        assert levels(mixed, "amplitude") == [1e10]
        assert len(levels(mixed, "ratio")) == 20
        assert {run.noise.order for run in mixed} == {"multiply_first", "add_first"}
        assert sum(run.noise.kind == "none" for run in planned if run.model.name == model) == 1
    kept = {(run.model.name, run.noise.kind) for run in planned if run.training.keep_network}
    assert kept == ({("mlp", "none"), ("mlp", "multiplicative")} if data == "mnist" else set())


@pytest.mark.slow
def test_point_5():
    planned = runs("mixed/point5")
    assert {(run.data.name, run.model.name, run.model.batch_norm) for run in planned} == {("cifar10", "lenet5", True)}
    assert {(run.noise.point, run.noise.in_training) for run in planned} == {(5, True)}
    chart = [run for run in planned if run.noise.amplitude is not None]
    zoom = [run for run in planned if run.noise.amplitude is None]
    assert levels(chart, "amplitude") == pytest.approx(np.logspace(-4, 13, 35))
    decades = [10.0**-k for k in range(17, 0, -1)]
    assert levels(chart, "ratio") == pytest.approx(
        [*decades, 0.5, *(1 - tenth for tenth in reversed(decades))], rel=1e-15
    )
    assert len(levels(chart, "ratio")) == 35
    assert Counter((run.noise.order, run.training.weight_clamp) for run in chart) == {
        (order, clamp): 35 * 35 for order in ("multiply_first", "add_first") for clamp in (None, 1.0)
    }
    for setting in ("std_mul", "std_add"):
        assert levels(zoom, setting) == pytest.approx(np.linspace(0.1, 2.5, 25))
    assert Counter(run.noise.order for run in zoom) == {"multiply_first": 25 * 25, "add_first": 25 * 25}


def test_learning_curves_share_the_networks_of_table_1():
    curves = runs("learning_curves/cifar10")
    assert all(run.evaluation.curve and run.noisy_training for run in curves)
    assert {run.network_key for run in curves} <= {run.network_key for run in runs("table1/cifar10")}


def test_the_demo_has_the_runs_of_its_table_and_figure():
    planned = runs("demo")
    everywhere = {
        (run.noise.kind, run.model.batch_norm)
        for run in planned
        if run.noise.point == "global" and run.noise.in_training
    }
    assert everywhere == {(kind, norm) for kind in ("additive", "multiplicative") for norm in BOTH}
    walking = {
        (run.noise.point, run.noise.in_training)
        for run in planned
        if run.model.batch_norm and run.noise.kind == "additive" and run.noise.point != "global"
    }
    assert walking == {(point, in_training) for point in range(11) for in_training in BOTH}
    assert {(run.data.name, run.model.name) for run in planned} == {("mnist5k", "mlp")}
    assert {count for _, count in series(GRIDS / "demo.yaml", SWITCH[0])} == {3}


@pytest.mark.slow
def test_seml_adds_the_repetitions_of_the_switch(shell: Shell):
    path = GRIDS / "learning_curves" / "cifar10.yaml"
    assert "Adding 170 configs" in shell.run("seml", "switched", "add", str(path))
    # the other 170 have been added before
    assert "Adding 170 configs" in shell.run("seml", "switched", "add", str(with_release_repetitions(path)))
