from __future__ import annotations

from experiments.worker.assignment import Assignment


def test_assignment_from_semls_arguments():
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


def test_runs_without_a_database_have_no_assignment():
    assert Assignment.from_arguments(["train.py", "with", "noise.std=0.5"]) is None
    assert Assignment.from_arguments(["train.py", "with", "db_collection='c'", "--unobserved"]) is None
