"""Commands, options, variables and paths on the pages exist."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from experiments.cli.app import app
from tests.documentation.pages import PAGES, ROOT, blocks

GUIDE = (ROOT / "docs" / "cluster.md").read_text()
SHELL = {page: "".join(block.text for block in blocks(page, "bash")) for page in PAGES}
COMMAND = r"walking-noise(?: (?!&&|\|)[\w./\"$=:*+-]+)+"
COMMANDS = [*re.findall(COMMAND, GUIDE), *re.findall(COMMAND, "".join(SHELL.values()))]
"""Commands in code blocks of all pages and in the text of the cluster guide, without comments that follow them."""


def arguments(command: str) -> list[str]:
    return shlex.split(command)[1:]


def test_guide_names_the_commands():
    assert {arguments(command)[0] for command in COMMANDS} >= {
        *("data", "db", "doctor", "plan", "add", "start", "watch", "failures", "rescue", "hours", "deliver"),
    }


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_command_is_valid(command: str):
    called, rest = typer.main.get_command(app), arguments(command)
    while hasattr(called, "commands") and rest:
        called = called.commands[rest.pop(0)]
    called.make_context(command, rest)


@pytest.mark.parametrize("name", sorted({*re.findall(r"WALKING_NOISE_\w+", GUIDE)}))
def test_variable_is_read_by_the_code(name: str):
    short = name.removeprefix("WALKING_NOISE_").lower()
    readers = [path for folder in ("experiments", "walking_noise", "docker") for path in (ROOT / folder).rglob("*")]
    texts = (path.read_text() for path in readers if path.suffix in (".py", "") and path.is_file())
    assert any(name in text or f"    {short}: " in text for text in texts)


def test_paths_in_the_guide_exist():
    named = re.findall(r"\b(?:docker|seml_configs)/[\w./-]+\w", GUIDE)
    missing = {path for path in named if not (ROOT / path).exists()}
    assert missing <= {"docker/.env"}, missing


@pytest.mark.parametrize("page", [page for page in PAGES if SHELL[page]])
def test_runs_are_added_and_started_without_the_variables_of_the_shell(page: str):
    assert not re.findall(r"seml \S+ (?:add|start)\b", SHELL[page])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES[1:]])
def test_linked_files_exist(page: str):
    """On GitHub, too, where links are relative to the page."""
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text())
    assert not [path for path in linked if not ((ROOT / page).parent / path).exists()]
