"""``walking-noise settings``: tables in words, and the JSON schema of grids."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.cli.app import main
from experiments.worker.worker_options import WorkerOptions
from walking_noise import RunConfig
from walking_noise.config.settings_table import markdown, rows

ROOT = Path(__file__).parents[3]
GRIDS = sorted((ROOT / "seml_configs").rglob("*.yaml"))


@pytest.mark.parametrize("kind", [RunConfig, WorkerOptions])
def test_the_page_has_the_generated_table(kind: Any):
    page = (ROOT / "docs" / "settings.md").read_text()
    assert markdown(rows(kind)) in page, "copy the table that `walking-noise settings --markdown` prints"


def test_the_table_names_every_setting(capsys: pytest.CaptureFixture[str]):
    assert main(["settings"]) == 0
    printed = set(capsys.readouterr().out.split())
    assert {
        *RunConfig().to_flat(),
        *(f"WALKING_NOISE_{name.upper()}" for name in WorkerOptions.model_fields),
    } <= printed


def test_every_setting_has_a_meaning_and_allowed_values():
    for row in (*rows(RunConfig), *rows(WorkerOptions)):
        assert row.meaning.endswith(".")
        assert row.allowed not in ("", "None", "string")


def test_two_forms_at_once_are_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["settings", "--markdown", "--json-schema"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["settings", "--json-schema"]) == 0
    file = tmp_path / "grid.schema.json"
    file.write_text(capsys.readouterr().out)
    return file


def check(schema: Path, *files: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(schema), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout


def test_the_grids_conform_to_the_schema(schema: Path):
    assert check(schema, *GRIDS) == (0, "ok -- validation done\n")


VALID = """
fixed: {data.name: mnist, noise: {kind: additive, in_training: false}, noise.point: 3}
grid: {noise.std: {type: loguniform, min: 0.01, max: 100, num: 9}}
mlp.grid.seed: {type: range, min: 0, max: 5, step: 1}
"""
WRONG = {
    "a name": "fixed: {noise.sdt: 1.0}",
    "a nested name": "fixed: {noise: {sdt: 1.0}}",
    "a value": "fixed: {data.name: imagenet}",
    "a value in quotes": 'fixed: {noise.std: "0.5"}',
    "a value out of range": "fixed: {training.epochs: 0}",
    "an option": "grid: {noise.order: {type: choice, options: [add_first, add_last]}}",
    "a type of parameter": "grid: {noise.std: {type: logspace, min: 1, max: 2, num: 3}}",
    "a bound": "grid: {noise.std: {type: uniform, min: -1, max: 2, num: 3}}",
    "a value in a sub-configuration": "mlp: {global: {fixed: {noise.ratio: 2}}}",
    "a value below a dotted name": "mlp.global.fixed.noise.kind: adding",
    "a name in a dotted name": "mlp.grid.sede: {type: range, min: 0, max: 5, step: 1}",
}


def test_a_wrong_grid_is_refused(schema: Path, tmp_path: Path):
    files = {case: tmp_path / f"{number}.yaml" for number, case in enumerate(["valid", *WRONG])}
    for text, file in zip([VALID, *WRONG.values()], files.values(), strict=True):
        file.write_text(text)
    code, report = check(schema, *files.values())
    assert code == 1
    assert str(files["valid"]) not in report
    assert [case for case in WRONG if f"{files[case]}::" not in report] == []


def test_the_schema_describes_what_editors_complete(schema: Path):
    content = json.loads(schema.read_text())
    std = content["$defs"]["fixed"]["properties"]["noise.std"]
    assert std["default"] == 0.0
    assert "standard deviation" in std["description"]
    assert set(RunConfig().to_flat()) <= set(content["$defs"]["grid"]["properties"])
