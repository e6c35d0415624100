from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from experiments.terminal.text_table import show, table
from tests.experiments.shell import ROOT

ROWS = [("a.yaml", "1"), ("[red]a folder/with a long name.yaml :sparkles:", "12,100")]


def test_piped_output_is_neither_wrapped_nor_coloured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "20")
    show([table(("file", "runs"), ROWS, left=1), "", "a text " * 50])
    head, first, second, empty, text = capsys.readouterr().out.splitlines()
    assert head == f"file{' ' * 46}runs"
    assert first == f"a.yaml{' ' * 47}1"
    assert second == "[red]a folder/with a long name.yaml :sparkles:  12,100"
    assert (empty, text) == ("", "a text " * 50)


@pytest.mark.parametrize(("terminal", "width", "bold"), [("xterm", 30, True), ("dumb", 80, False)])
def test_output_fits_the_width_of_a_terminal(terminal: str, width: int, bold: bool):
    script = f"from experiments.terminal.text_table import *; show([table(('file', 'runs'), {ROWS}, left=1)])"
    reader, writer = pty.openpty()
    environment = os.environ | {"TERM": terminal, "COLUMNS": "30"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=writer, cwd=ROOT, env=environment):
        os.close(writer)
        printed = b""
        while (part := _read(reader)) != b"":
            printed += part
    os.close(reader)
    lines = printed.decode().replace("\033[1m", "").replace("\033[0m", "").splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.rstrip().endswith("12,100") for line in lines)
    assert "…" not in printed.decode()
    assert (b"\033[1m" in printed) == bold


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except OSError:  # the process has ended
        return b""
