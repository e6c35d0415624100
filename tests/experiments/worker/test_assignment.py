from __future__ import annotations

from experiments.worker.assignment import Assignment


def test_an_assignment_as_seml_writes_it():
    arguments = [
        "train.py",
        "with",
        "noise={'std': 0.5}",
        "seed=3",
        "db_collection='my_study'",
        "overwrite=17",
        "--force",
    ]
    assignment = Assignment.from_arguments(arguments)
    assert assignment is not None
    assert (assignment.collection, assignment.leader) == ("my_study", 17)
    assert assignment.token != Assignment("my_study", 17).token


def test_by_hand_and_unobserved_there_is_none():
    assert Assignment.from_arguments(["train.py", "with", "noise.std=0.5"]) is None
    assert Assignment.from_arguments(["train.py", "with", "db_collection='c'", "--unobserved"]) is None
