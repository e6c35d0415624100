"""Choice of the pending runs that train together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from experiments.database.connection import Document, Runs
from experiments.worker.companion_runs import Candidate, choose_companions, companion_filter, pending_candidates
from walking_noise import RunConfig


def candidates(*settings: dict[str, Any]) -> list[Candidate]:
    return [Candidate(number, RunConfig.from_dict(values)) for number, values in enumerate(settings, start=1)]


def ids(chosen: Sequence[Candidate]) -> list[int]:
    return [candidate.id for candidate in chosen]


def test_number_of_trainings():
    noisy = candidates(*({"noise.std": 1.0, "seed": seed} for seed in range(5)))
    assert ids(choose_companions(noisy, 3)) == [1, 2, 3]


def test_runs_that_share_a_trained_network_are_added():
    def inference_only(std: float, seed: int) -> dict[str, Any]:
        return {"noise.std": std, "noise.in_training": False, "seed": seed}

    runs_to_choose_from = candidates(
        {"noise.std": 1.0},
        inference_only(1.0, seed=0),
        {"noise.std": 2.0},
        inference_only(2.0, seed=0),
        {"noise.kind": "none"},
        inference_only(2.0, seed=1),
    )
    assert ids(choose_companions(runs_to_choose_from, 2)) == [1, 2, 4, 5]


def test_runs_with_noise_in_training_and_different_noise_seeds_are_trained_separately():
    runs_to_choose_from = candidates({"noise.std": 1.0, "noise.seed": 1}, {"noise.std": 1.0, "noise.seed": 2})
    assert ids(choose_companions(runs_to_choose_from, 1)) == [1]


def test_largest_number_of_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("experiments.worker.companion_runs.MOST_RUNS", 3)
    runs_to_choose_from = candidates(*({"noise.std": std, "noise.in_training": False} for std in (1.0, 2.0, 3.0, 4.0)))
    assert ids(choose_companions(runs_to_choose_from, 1)) == [1, 2, 3]


def test_runs_with_invalid_settings_are_chosen_to_be_recorded_as_failed():
    bad = Candidate.from_document({"_id": 7, "config": {"noise": {"std": -1}}})
    allowed = "a finite number >= 0, or a list of them, one for each noise point"
    assert (bad.config, bad.error) == (None, f"noise.std: -1 is refused; allowed: {allowed}")
    assert ids(choose_companions([*candidates({"noise.std": 1.0}), bad], 1)) == [1, 7]


def test_keys_of_seml_and_sacred_are_not_settings():
    config = {"noise": {"std": 2.0}, "db_collection": "study", "overwrite": 7, "__doc__": None}
    assert Candidate.from_document({"_id": 7, "config": config}) == Candidate(
        7, RunConfig.from_dict({"noise.std": 2.0})
    )


OTHERS: dict[str, Document] = {
    "batch": {"batch_id": 99},
    "array": {"slurm.0.array_id": 4711},
    "sources": {"seml.source_files": []},
    "status": {"status": "INTERRUPTED"},
    "data set": {"config.data.name": "mnist"},
    "model": {"config.model.batch_norm": True},
    "epochs": {"config.training.epochs": 3},
    "learning rate": {"config.training.learning_rate": 0.01},
}


@pytest.mark.parametrize("other", OTHERS)
def test_companions_match_their_leader(other: str, runs: Runs, pending_runs: Callable[[Sequence[Document]], None]):
    pending_runs([{}, {"noise.std": 2.0}, {"noise.std": 3.0}, {"noise.kind": "multiplicative"}])
    runs.update_one({"_id": 3}, {"$set": OTHERS[other]})
    leader = runs.find_one_and_update({"_id": 1}, {"$set": {"status": "RUNNING"}})
    assert leader is not None
    pending = pending_candidates(runs, companion_filter(leader, RunConfig.from_dict(leader["config"])))
    assert ids(list(pending)) == [2, 4]


def test_companions_of_a_slurm_array(runs: Runs, pending_runs: Callable[[Sequence[Document]], None]):
    pending_runs([{}, {"noise.std": 2.0}, {"noise.std": 3.0}])
    runs.update_many({"_id": {"$in": [1, 2]}}, {"$set": {"slurm.0.array_id": 4711}})
    leader = runs.find_one({"_id": 1})
    assert leader is not None
    pending = pending_candidates(runs, companion_filter(leader, RunConfig.from_dict(leader["config"])))
    assert ids(list(pending)) == [1, 2]
