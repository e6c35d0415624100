from __future__ import annotations

import pytest

from analysis import progress_bar
from analysis.progress_bar import track


def test_one_plain_line_without_a_terminal(capsys: pytest.CaptureFixture[str]):
    assert list(track(iter("abc"), "letters read", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "letters read: 3\n")


def test_long_loop_reports_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress_bar, "SECONDS_BETWEEN_LINES", -1.0)
    assert len(list(track(range(2), "runs read", 5))) == 2
    assert capsys.readouterr().err.splitlines() == ["runs read: 1 of 5", "runs read: 2 of 5", "runs read: 2"]
