"""Removal of secrets from stored documents."""

from __future__ import annotations

import pytest

from experiments.cli.app import main
from experiments.database.connection import Document, Runs
from experiments.submit.scrub_secrets import clean, count_excess, excess

NEEDED = {"HOME": "/home/me", "PATH": "/bin", "WALKING_NOISE_DATA": "/data"}
MORE = {"GITHUB_TOKEN": "hidden", "a.b": "with a dot", "BASH_FUNC_module%%": "() {", "WALKING_NOISE_KEY": "hidden"}


@pytest.fixture
def added(runs: Runs) -> Runs:
    """Runs of five calls of `seml add`: two with secrets, one with a secret in the remote, two without."""
    batches: list[Document] = [
        {"seml": {"env": {**NEEDED, **MORE}, "working_dir": "/code"}, "git": {"path": "https://host/code"}},
        {"seml": {"env": {**NEEDED, "WALKING_NOISE_MONGODB": "mongodb://me:hidden@host"}}, "git": None},
        {"seml": {"env": NEEDED}, "git": {"path": "https://me:hidden@host/code", "dirty": False}},
        {"seml": {"env": {**NEEDED, "MY_SITE": "x", "WALKING_NOISE_KEEP": "MY_SITE"}}, "git": {"path": "/code"}},
        {"seml": {}},
    ]
    runs.insert_many(
        {"_id": 3 * number + part, "batch_id": number, "status": "STAGED", **batch}
        for number, batch in enumerate(batches)
        for part in range(3)
    )
    return runs


def test_only_disallowed_content_is_removed(added: Runs):
    before = {document["_id"]: document for document in added.find()}
    names = ["BASH_FUNC_module%%", "GITHUB_TOKEN", "WALKING_NOISE_KEY", "WALKING_NOISE_MONGODB", "a.b", "git.path"]
    assert count_excess(added) == (9, names)
    assert [clean(added, group) for group in excess(added)] == [3, 3, 3]
    assert count_excess(added) == (0, [])
    after = {document["_id"]: document for document in added.find()}
    assert "hidden" not in str(after)
    for run in before:
        if run < 6:
            assert after[run]["seml"].pop("env") == NEEDED
            del before[run]["seml"]["env"]
        elif run < 9:
            assert after[run]["git"].pop("path") == "https://host/code"
            del before[run]["git"]["path"]
    assert after == before


def test_a_run_changed_during_the_cleaning_stays_unchanged(added: Runs):
    groups = list(excess(added))
    added.update_one({"_id": 0}, {"$set": {"seml.env.NEW": "x"}})
    assert sorted(clean(added, group) for group in groups) == [2, 3, 3]
    assert count_excess(added)[0] == 1


def test_names_are_printed_but_never_values(added: Runs, configured: None, capsys: pytest.CaptureFixture[str]):
    name = added.name
    assert main(["scrub", name, "--dry-run"]) == 0
    expected = (
        f"{name}: 9 runs contain disallowed variables or addresses: BASH_FUNC_module%%, GITHUB_TOKEN, WALKING_NOISE_KEY"
    )
    listed = capsys.readouterr()
    assert expected in listed.out
    assert count_excess(added)[0] == 9
    assert main(["scrub", name]) == 0
    cleaned = capsys.readouterr()
    assert f"{name}: removed from 9 runs: BASH_FUNC_module%%, GITHUB_TOKEN" in cleaned.out
    assert "hidden" not in "".join([*listed, *cleaned])
    assert main(["scrub", name]) == 0
    assert capsys.readouterr().out == f"{name}: no run contains a disallowed variable or address\n"


def test_a_missing_collection(configured: None, capsys: pytest.CaptureFixture[str]):
    assert main(["scrub", "nowhere"]) == 1
    assert "there is no collection 'nowhere'" in capsys.readouterr().err
