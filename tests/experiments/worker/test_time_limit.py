from __future__ import annotations

from pathlib import Path

import pytest

from experiments.worker.time_limit import TimeLimit


def test_outside_slurm_there_is_no_limit():
    limit = TimeLimit({"_id": 1})
    assert not limit.near
    limit.request_requeue()


def test_a_failed_requeue_request_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    notice = tmp_path / "a_7_3.reschedule"
    notice.touch()
    limit = TimeLimit({"execution": {"reschedule_file": str(notice)}})
    assert limit.near
    tmp_path.rename(tmp_path.with_name("gone"))
    limit.request_requeue()
    (message,) = caplog.messages
    assert message == f"the task is not requeued: {notice}.request: No such file or directory"


def test_the_file_of_semls_script_announces_the_limit(tmp_path: Path):
    notice, seconds = tmp_path / "a_7_3.reschedule", [0.0]
    limit = TimeLimit({"execution": {"reschedule_file": str(notice)}}, lambda: seconds[0])
    assert not limit.near
    notice.touch()
    assert not limit.near  # the file is looked for once a second only
    limit.request_requeue()
    assert list(tmp_path.iterdir()) == [notice]
    seconds[0] += 1.0
    assert limit.near
    limit.request_requeue()
    assert (tmp_path / "a_7_3.reschedule.request").exists()
