from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.runs.run_frame import STATE_NAMES, to_frame
from analysis.tables.run_accounting import failure_causes, provenance_counts, state_counts
from walking_noise import RunConfig


def frame(study) -> pd.DataFrame:
    return to_frame(study.source().documents)


def test_a_row_per_document_with_all_settings(whole_study):
    runs = frame(whole_study)
    assert len(runs) == len(whole_study.documents)
    assert set(RunConfig().to_flat()) <= set(runs.columns)
    assert runs["id"].tolist() == [document["_id"] for document in whole_study]
    for row, document in zip(runs.to_dict("records"), whole_study, strict=True):
        assert row["noise.point"] == document["config"]["noise"]["point"]
        assert row["training.weight_clamp"] is None
        assert row["status"] == document["status"]


def test_result_becomes_columns(fake_study):
    study = fake_study()
    study.complete({"noise.std": 0.5, "seed": 3}, 0.875, validation_curve=[0.5, 0.875])
    row = frame(study).iloc[0]
    assert (row["accuracy"], row["floor"], row["level"], row["repetition"]) == (0.875, 0.1135, 0.5, "3")
    assert (row["outcome"], row["epochs_done"], row["seconds"]) == ("trained", 20, 3.25)
    assert row["validation_curve"] == [0.5, 0.875]
    assert (row["torch"], row["cuda"], row["device"]) == ("2.11.0", None, "A processor")
    assert (row["started"], row["stopped"]) == ("2024-05-01T12:00:00", "2024-05-01T12:00:09")
    assert (row["state"], row["cause"], row["refused"]) == ("completed", None, None)
    assert row["points"] == RunConfig().points
    assert row["signal"] == tuple(range(1, 9))
    assert list(row["mean_abs_weight"]) == ["fc1", "fc2", "fc3", "fc4"]
    assert (row["noisy"], row["network"], row["binarization"]) == (True, None, None)


def test_stored_network_and_findings_become_columns(fake_study):
    study = fake_study()
    study.complete({"training.keep_network": True}, 0.9, network="abc.npz")["binarization"] = {"points": []}
    study.add({}, "PENDING")
    first, second = frame(study).to_dict("records")
    assert (first["noisy"], first["network"], first["binarization"]) == (False, "abc.npz", {"points": []})
    assert (second["signal"], second["mean_abs_weight"], second["network"]) == (None, None, None)
    assert second["points"] == first["points"]


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"noise.std": 0.5}, 0.5),
        ({"noise.kind": "mixed", "noise.amplitude": 3.0, "noise.ratio": 0.9}, 3.0),
        ({"noise.kind": "mixed", "noise.std_mul": 1.0, "noise.std_add": 2.0}, None),
        ({"noise.point": "mapped", "noise.std": [0.1] * 8}, None),
        ({"noise.kind": "none"}, None),
    ],
    ids=["std", "amplitude", "two levels", "mapped", "none"],
)
def test_level(fake_study, settings, level):
    study = fake_study()
    study.add(settings)
    found = frame(study)["level"].item()
    assert found == level or (level is None and math.isnan(found))


def test_repetition_has_both_seeds(fake_study):
    study = fake_study()
    for seeds in ({"seed": 1}, {"seed": 1, "noise.seed": 1}, {"seed": 1, "noise.seed": 2}):
        study.add({"noise.std": 0.5, "noise.in_training": False, **seeds})
    runs = frame(study)
    assert runs["repetition"].tolist() == ["1", "1", "1/2"]
    assert runs["run_key"].nunique() == 2


def test_equal_runs_have_one_key(fake_study):
    study = fake_study()
    study.add({"noise.std": 0.0})
    study.add({"noise.kind": "multiplicative", "noise.std": 0.0, "noise.point": 3})
    study.add({"noise.kind": "none", "evaluation.curve": True, "training.keep_network": True})
    study.add({"noise.std": 0.1})
    assert frame(study)["run_key"].nunique() == 2


def test_every_run_is_in_one_state(whole_study):
    table = state_counts(frame(whole_study))
    row = table.iloc[0]
    assert table["collection"].tolist() == ["demo"]
    assert row["planned"] == len(whole_study.documents) == sum(row[state] for state in STATE_NAMES)
    assert (row["failed"], row["pending"], row["running"], row["staged"], row["other"]) == (3, 1, 1, 0, 0)
    assert (row["diverged"], row["overflow"]) == (1, 1)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("STAGED", "staged"), ("QUEUED", "staged"), ("PENDING", "pending"), ("RESCHEDULED", "pending"),
        ("RUNNING", "running"), ("FAILED", "failed"), ("KILLED", "failed"), ("INTERRUPTED", "failed"),
        ("SOMETHING", "other"),
    ],
)  # fmt: skip
def test_states_of_seml(fake_study, status: str, state: str):
    study = fake_study()
    study.add({}, status)
    assert frame(study)["state"].item() == state


def test_causes_are_counted(whole_study):
    table = failure_causes(frame(whole_study))
    assert table["runs"].tolist() == [2, 1]
    assert table["cause"][0] == "RuntimeError: out of <memory>"
    assert table["cause"][1].startswith("no traceback: ")
    failed = [str(document["_id"]) for document in whole_study if document["status"] == "FAILED"]
    assert table["ids"][0] == ", ".join(failed)


def test_cause_is_the_last_line_of_the_trace(fake_study):
    study = fake_study()
    study.add({}, "FAILED", fail_trace=["Traceback\n", "  File x\n  code\n", "ValueError: first\nand last\n", "\n"])
    study.add({}, "FAILED", fail_trace=[])
    study.add({}, "FAILED", fail_trace=None)
    found = frame(study)["cause"].tolist()
    assert found[0] == "and last"
    assert found[1] == found[2]
    assert found[1].startswith("no traceback: ")


def test_completed_without_an_accuracy_is_a_failure(fake_study):
    study = fake_study()
    study.add({}, "COMPLETED")
    study.complete({}, math.nan)
    runs = frame(study)
    assert runs["state"].tolist() == ["failed", "failed"]
    assert runs["cause"].tolist() == ["completed without an accuracy"] * 2


def test_refused_settings_are_a_cause_not_an_error(fake_study):
    study = fake_study()
    study.complete({}, 0.9)["config"]["noise"]["std"] = -1.0
    study.add({}, "STAGED")["config"]["nose"] = {"std": 1.0}
    study.complete({}, 0.9)
    runs = frame(study)
    assert runs["run_key"].notna().tolist() == [False, False, True]
    assert runs["state"].tolist() == ["completed", "staged", "completed"]
    found = failure_causes(runs)["cause"].tolist()
    assert len(found) == 2
    assert any("noise.std" in cause for cause in found)
    assert any("nose.std" in cause for cause in found)


def test_provenance_is_counted(fake_study):
    study = fake_study()
    for seed in range(3):
        study.complete({"seed": seed}, 0.9, seconds=1200.0)
    study.complete({"seed": 3}, 0.9, provenance={"version": "0.2.0", "device": "A GPU", "cuda": "13.0"})
    study.add({"seed": 4}, "RUNNING")
    table = provenance_counts(frame(study))
    assert table["runs"].tolist() == [3, 1]
    assert table["hours"][0] == pytest.approx(1.0)
    assert table["cuda"].tolist() == ["none", "13.0"]
    assert table["data.name"].tolist() == ["mnist5k"] * 2
