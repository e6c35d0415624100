from __future__ import annotations

from analysis.runs.noise_free import noise_free_runs
from analysis.runs.run_frame import to_frame


def test_runs_without_noise_of_the_same_training(fake_study):
    study = fake_study()
    study.complete({"noise.kind": "none", "seed": 0}, 0.90)
    study.complete({"noise.kind": "none", "seed": 0, "evaluation.curve": True}, 0.90, validation_curve=[0.5])
    study.complete({"noise.kind": "multiplicative", "noise.point": 3, "noise.std": 0.0, "seed": 1}, 0.91)
    study.complete({"noise.std": 0.0, "seed": 2, "training.keep_network": True}, 0.92)
    study.complete({"noise.std": 0.0, "seed": 3, "training.epochs": 3}, 0.5)
    study.complete({"noise.std": 0.0, "seed": 4, "training.weight_clamp": 1.0}, 0.6)
    study.complete({"noise.std": 0.1, "seed": 5}, 0.7)
    study.add({"noise.kind": "none", "seed": 6}, "RUNNING")
    study.complete({}, 0.9)["config"]["noise"]["std"] = -1
    runs = to_frame(study.source().documents)
    settings = {"noise.kind": "multiplicative", "noise.point": 3, "training.weight_clamp": None, "training.epochs": 20}
    found = noise_free_runs(runs, settings)
    assert found["accuracy"].tolist() == [0.90, 0.91, 0.92]
    assert found["repetition"].tolist() == ["0", "1", "2"]
    assert noise_free_runs(runs, {**settings, "training.weight_clamp": 1.0})["accuracy"].tolist() == [0.6]
    assert noise_free_runs(runs, {**settings, "model.batch_norm": True}).empty


def test_all_settings_of_a_run_may_be_given(fake_study):
    study = fake_study()
    study.complete({"noise.kind": "none", "seed": 4}, 0.9)
    noisy = study.complete({"noise.std": 0.5, "seed": 0, "evaluation.curve": True}, 0.2)
    runs = to_frame(study.source().documents)
    row = runs[runs["id"] == noisy["_id"]].iloc[0]
    settings = {name: row[name] for name in runs.columns if "." in name or name == "seed"}
    assert noise_free_runs(runs, settings)["accuracy"].tolist() == [0.9]
