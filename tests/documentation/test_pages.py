"""Blocks of code of the documentation: all of them run as they are printed, with fewer steps of training."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.midpoints.from_python import estimate
from experiments.plan.grid_files import expand
from tests.documentation.pages import PAGES, ROOT, blocks, runnable, shortened
from tests.walking_noise.parts import AddFile
from walking_noise import RunConfig, data, train
from walking_noise.data import DataSet
from walking_noise.models import architectures
from walking_noise.noise import kinds

WALKS = {"docs/tutorial.md": ".", "docs/trained_network.md": ".", "docs/own_network/README.md": "docs/own_network"}
"""Pages whose blocks of all languages depend on one another, with the folder in which a reader types them."""
PYTHON = [page for page in PAGES if page not in WALKS and runnable(page, "python")]
SHELL = [page for page in PAGES if runnable(page, "bash")]
GRIDS = [(page, block.file) for page in PAGES for block in runnable(page, "yaml")]

NOT_RUN = {
    "README.md": 3, "docs/cluster.md": 9, "docs/data.md": 1, "docs/gallery.md": 1, "docs/own_network/README.md": 1,
    "docs/packs.md": 1, "docs/refine.md": 1, "docs/releasing.md": 1, "docs/reproduction.md": 1,
    "docs/results.md": 1, "docs/studies.md": 1,
    "docs/tutorial.md": 1, "docs/weights_and_executions.md": 1,
}  # fmt: skip
"""Number of blocks of each page that cannot run here; each names its reason."""


def test_blocks_that_are_not_run_are_few_and_named() -> None:
    left_out = [block for page in PAGES for block in blocks(page) if block.not_run]
    for block in left_out:
        print(f"{block.page}: {block.text.splitlines()[0]}: {block.not_run}")
    assert Counter(block.page for block in left_out) == NOT_RUN


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_language_that_is_tested(page: str) -> None:
    languages = {block.language for block in blocks(page)}
    assert not {name for name in languages - {"python", "bash", "yaml", "text"} if not name.startswith("{")}
    fences = re.findall(r"^ *```", (ROOT / page).read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page)), "a fence begins a block or ends it"
    assert not re.search(r"\n\n    \S", (ROOT / page).read_text()), "an indented block has no language"


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the digits."""
    load = data.load

    def load_part(*selection: str, **settings: object) -> DataSet:
        whole = load(*selection, **settings)  # type: ignore[arg-type]
        return DataSet(**{
            **{name: getattr(whole, name) for name in whole.__dataclass_fields__},
            "train_samples": whole.train_samples[:1000].clone(), "train_labels": whole.train_labels[:1000].clone(),
            "validation_samples": whole.validation_samples[:300].clone(),
            "validation_labels": whole.validation_labels[:300].clone(),
        })  # fmt: skip

    monkeypatch.setattr(data, "load", load_part)


def run_python(page: str) -> dict[str, Any]:
    """Run the Python blocks of a page, one after the other, and return the names that they define."""
    names: dict[str, Any] = {}
    for number, block in enumerate(runnable(page, "python"), start=1):
        code = shortened(block.text)
        if page in CHECKS:  # they need networks that have learned something
            code = code.replace('"training.epochs": 1', '"training.epochs": 3, "training.batch_size": 32')
        exec(compile(code, f"{page}, block {number}", "exec"), names)
    return names


def check_estimate(names: dict[str, Any]) -> None:
    table = estimate(names["configs"], names["results"])
    assert table["noise.kind"].tolist() == ["additive", "multiplicative"]
    assert table["point"].tolist() == ["global", "global"]
    assert table["mu"].between(0.03, 30).all()
    assert (table["low"] < table["high"]).all()


def check_kinds(names: dict[str, Any]) -> None:
    table = estimate(names["configs"], names["results"]).set_index("noise.kind")
    assert list(table.index) == ["quantisation", "uniform"]
    assert (table["low"] < table["mu"]).all() & (table["mu"] < table["high"]).all()
    assert 1 / 15 < table["mu"]["quantisation"] < 1
    assert 0.1 < table["mu"]["uniform"] < 3


def check_shared_network(names: dict[str, Any]) -> None:
    assert len({run.network_key for run in names["runs"]}) == 1


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "docs/python.md": check_estimate,
    "docs/noise/index.md": check_kinds,
    "docs/noise/training_levels.md": check_shared_network,
}
"""Further checks of the names that the blocks of a page define."""


LONG = ("docs/python.md",)


@pytest.mark.usefixtures("few_digits", "forked_pool")
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in PYTHON if page != "docs/extending.md"],
)
def test_python(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_python(page)
    assert len(capsys.readouterr().out.splitlines()) >= 2 * len(runnable(page, "python"))
    if page in CHECKS:
        CHECKS[page](names)


@pytest.mark.usefixtures("few_digits")
def test_parts_of_the_extending_page(add_file: AddFile) -> None:
    """Its blocks are files of the package: a kind of noise and a model."""
    kind, model = runnable("docs/extending.md", "python")
    add_file(kinds, "laplace", kind.text)
    add_file(architectures, "linear", model.text)
    settings = {"model.name": "linear", "noise.kind": "laplace", "training.epochs": 1}
    configs = [RunConfig.from_dict({**settings, "noise.std": std}) for std in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)]
    results = train(configs, processes=1)
    assert results[0].accuracy > results[-1].accuracy
    assert len(estimate(configs, results)) == 1


@pytest.mark.parametrize(("page", "file"), GRIDS)
def test_grid(page: str, file: str, tmp_path: Path) -> None:
    (grid,) = (block for block in runnable(page, "yaml") if block.file == file)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(grid.text)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "train.py").touch()
    runs = [RunConfig.from_dict(settings) for settings in expand(path)]
    assert len(runs) > 1


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the checkout; embedded databases in it are stopped at the end."""
    folder, home = tmp_path / "checkout", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    archive = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, stdout=-1)
    names = [name for name in archive.stdout.decode().split("\0") if name and (ROOT / name).exists()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name) if name.endswith(".html") else (folder / name).write_bytes(
            (ROOT / name).read_bytes()
        )
    (folder / ".venv").symlink_to(Path(sys.prefix))
    yield folder
    for database in tmp_path.rglob(".walking_noise"):
        run_in_shell(f"walking-noise db stop --folder '{database}'", folder, home)


def run_in_shell(script: str, folder: Path, home: Path) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"HOME": str(home), "PYTHONWARNINGS": "ignore"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "A", f"GIT_{role}_EMAIL": "a@example.org"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, text=True, timeout=500,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", SHELL)
def test_shell(page: str, checkout: Path) -> None:
    script = ["git init --quiet", "git add --all", "git commit --quiet --message A", f"cd {WALKS.get(page, '.')}"]
    for block in runnable(page, *(("python", "bash", "yaml") if page in WALKS else ("bash",))):
        text = shortened(block.text)
        if block.language == "yaml":
            text = f"cat > {block.file} <<'END'\n{text}END"
        elif block.language == "python":
            text = f"python - <<'END'\n{text}END"
        script.append(text)
    output = run_in_shell("\n".join(script), checkout, checkout.parent / "home")
    print(output)
    assert "Traceback" not in output
