from __future__ import annotations

from pathlib import Path

import pytest

from experiments.worker.time_limit import TimeLimit


def test_elsewhere_there_is_no_limit():
    limit = TimeLimit({"_id": 1})
    assert not limit.ahead
    limit.request_requeue()


def test_a_turn_that_cannot_be_asked_for_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    notice = tmp_path / "a_7_3.reschedule"
    notice.touch()
    limit = TimeLimit({"execution": {"reschedule_file": str(notice)}})
    assert limit.ahead
    tmp_path.rename(tmp_path.with_name("gone"))
    limit.request_requeue()
    (said,) = caplog.messages
    assert said == f"the task is not queued again: {notice}.request: No such file or directory"


def test_the_file_of_semls_script_tells_of_the_limit(tmp_path: Path):
    notice, seconds = tmp_path / "a_7_3.reschedule", [0.0]
    limit = TimeLimit({"execution": {"reschedule_file": str(notice)}}, lambda: seconds[0])
    assert not limit.ahead
    notice.touch()
    assert not limit.ahead  # it is not looked at in every batch
    limit.request_requeue()
    assert list(tmp_path.iterdir()) == [notice]
    seconds[0] += 1.0
    assert limit.ahead
    limit.request_requeue()
    assert (tmp_path / "a_7_3.reschedule.request").exists()
