from __future__ import annotations

import pytest

from experiments.cli.app import main
from experiments.database.connection import Document, Runs
from experiments.submit.scrub_secrets import clean, excess, holding_more

NEEDED = {"HOME": "/home/me", "PATH": "/bin", "WALKING_NOISE_DATA": "/data"}
MORE = {"GITHUB_TOKEN": "hidden", "a.b": "with a dot", "BASH_FUNC_module%%": "() {", "WALKING_NOISE_KEY": "hidden"}


@pytest.fixture
def added(runs: Runs) -> Runs:
    """Runs as four calls of `seml add` leave them: two with secrets, one whose remote has one, one as it should be."""
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


def test_what_is_held_too_much_goes_and_nothing_else(added: Runs):
    before = {document["_id"]: document for document in added.find()}
    names = ["BASH_FUNC_module%%", "GITHUB_TOKEN", "WALKING_NOISE_KEY", "WALKING_NOISE_MONGODB", "a.b", "git.path"]
    assert holding_more(added) == (9, names)
    assert [clean(added, group) for group in excess(added)] == [3, 3, 3]
    assert holding_more(added) == (0, [])
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


def test_a_run_added_meanwhile_stays_as_it_is(added: Runs):
    groups = list(excess(added))
    added.update_one({"_id": 0}, {"$set": {"seml.env.NEW": "x"}})
    assert sorted(clean(added, group) for group in groups) == [2, 3, 3]
    assert holding_more(added)[0] == 1


def test_it_says_names_and_never_values(added: Runs, configured: None, capsys: pytest.CaptureFixture[str]):
    name = added.name
    assert main(["scrub", name, "--dry-run"]) == 0
    told = f"{name}: 9 runs hold more than is allowed: BASH_FUNC_module%%, GITHUB_TOKEN, WALKING_NOISE_KEY"
    said = capsys.readouterr()
    assert told in said.out
    assert holding_more(added)[0] == 9
    assert main(["scrub", name]) == 0
    again = capsys.readouterr()
    assert f"{name}: 9 runs cleaned of BASH_FUNC_module%%, GITHUB_TOKEN" in again.out
    assert "hidden" not in "".join([*said, *again])
    assert main(["scrub", name]) == 0
    assert capsys.readouterr().out == f"{name}: no run holds more than is allowed\n"


def test_a_collection_that_is_not_there(configured: None, capsys: pytest.CaptureFixture[str]):
    assert main(["scrub", "nowhere"]) == 1
    assert "there is no collection 'nowhere'" in capsys.readouterr().err
