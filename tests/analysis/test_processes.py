from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.processes import shared_out
from analysis.report.report_items import make_all
from tests.analysis.conftest import ADDITIVE, FakeStudy


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_every_number_is_called_once(processes: int):
    assert dict(shared_out(lambda number: number**2, 4, processes)) == {0: 0, 1: 1, 2: 4, 3: 9}
    assert multiprocessing.active_children() == []


def test_several_processes_make_the_calls():
    def call(number: int) -> int:
        time.sleep(0.2)
        return os.getpid()

    made = dict(shared_out(call, 4, 2))
    assert len(set(made.values())) == 2
    assert os.getpid() not in made.values()


def test_error_of_a_call_reaches_the_parent_with_its_traceback():
    def call(number: int) -> int:
        return 1 // (2 - number)

    with pytest.raises(ZeroDivisionError) as raised:
        dict(shared_out(call, 9, 2))
    assert "in call" in raised.value.__notes__[0]
    assert multiprocessing.active_children() == []


def test_killed_process_is_an_error():
    def call(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(ChildProcessError, match="exit code -9"):
        dict(shared_out(call, 3, 2))
    assert multiprocessing.active_children() == []


def test_interrupt_ends_all_processes(tmp_path: Path):
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from analysis.processes import shared_out\n"
        "def call(number):\n"
        "    Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    time.sleep(60)\n"
        "try:\n"
        "    dict(shared_out(call, 8, 2))\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, start_new_session=True
    ) as parent:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        os.killpg(parent.pid, signal.SIGINT)
        _, errors = parent.communicate(timeout=20)
    assert (parent.returncode, errors) == (130, b"")
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_files_do_not_depend_on_the_number_of_processes(tmp_path: Path):
    texts, study = [], FakeStudy()
    study.series({"evaluation.curve": True}, 1.69, ADDITIVE, curve=True)
    study.series({"noise.point": 1}, 1.69, ADDITIVE)
    study.keep_quantities_of(point=0)
    analysed = study.analyse()
    for processes in (1, 3):
        folder = tmp_path / str(processes)
        folder.mkdir()
        texts.append([(item.number, [part.caption for part in parts or ()])
                      for item, parts in make_all(analysed, folder, processes=processes)])  # fmt: skip
    assert texts[0] == texts[1]
    one, three = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "13")
    assert one == three
