"""Messages on the page about problems: the code contains them."""

from __future__ import annotations

import ast
import re

import pytest

from tests.documentation.pages import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
OF_OTHERS = (
    "ModuleNotFoundError", "UserWarning: pkg_resources is deprecated",
    "CUDA out of memory", "WALKING_NOISE_…", "DataMissing", "KILLED",
)  # fmt: skip
"""Messages of Python and of libraries, and names."""


def messages() -> list[str]:
    """The code in the first cells of the tables of messages; an ellipsis stands for what differs."""
    cells = re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE)
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell) if code not in OF_OTHERS]


@pytest.fixture(scope="module")
def texts() -> str:
    """All texts in the code, and the Makefile."""
    files = [path for folder in ("walking_noise", "experiments", "analysis") for path in (ROOT / folder).rglob("*.py")]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    constants = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join([*constants, (ROOT / "Makefile").read_text()])


def test_there_are_messages() -> None:
    assert len(messages()) > 40


@pytest.mark.parametrize("message", messages())
def test_the_code_contains_the_message(message: str, texts: str) -> None:
    parts = [part for part in message.split("…") if len(part.strip()) > 2]
    assert parts
    assert [part for part in parts if part.strip() not in texts] == []
