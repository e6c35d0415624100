"""Fields of a run's document at its start and end."""

from __future__ import annotations

from typing import Any

from experiments.worker.records.run_document import end_fields, start_fields
from tests.experiments.worker.delivering import EXPERIMENT, HOST
from walking_noise import Failure, Result


def test_start_fields():
    fields = start_fields(EXPERIMENT, HOST, "main")
    assert fields["experiment"] == {**EXPERIMENT, "sources": []}
    assert fields["host"] == HOST
    assert fields["command"] == "main"
    assert fields["format"].startswith("MongoObserver")
    empty = {"resources": [], "artifacts": [], "captured_out": "", "info": {}}
    assert {name: fields[name] for name in empty} == empty
    assert fields["start_time"] <= fields["heartbeat"]


def test_end_fields_of_a_completed_run(result: Result):
    fields = end_fields(result, "0123abc")
    expected: dict[str, Any] = result.to_document()
    expected["provenance"]["commit"] = "0123abc"
    assert fields["status"] == "COMPLETED"
    assert fields["result"] == expected
    assert len(fields["result"]["validation_curve"]) == 1


def test_end_fields_of_a_failed_run():
    assert end_fields(Failure("noise.std: -1 is refused"), None)["fail_trace"] == ["noise.std: -1 is refused\n"]
    fields = end_fields(Failure("ValueError: x", "Traceback:\n  line\nValueError: x\n"), None)
    assert fields["fail_trace"] == ["Traceback:\n", "  line\n", "ValueError: x\n"]
    assert fields["status"] == "FAILED"
    assert "result" not in fields
