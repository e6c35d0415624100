"""Commands, arguments and options of ``walking-noise``, which users' scripts name, and the help of each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from experiments.cli.app import app, main
from experiments.errors import UserError

INTERFACE = Path(__file__).with_name("interface.txt")


def commands(command: Any, path: str = "walking-noise") -> Iterator[tuple[str, Any]]:
    """All commands, groups of commands among them, by their path."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def interface(path: str, command: Any) -> str:
    """The command with its arguments and options; defaults that are neither empty nor off are named."""
    parts = []
    for parameter in command.params:
        default = f"={parameter.default:g}" if parameter.default else ""
        value = "" if getattr(parameter, "is_flag", False) else (parameter.metavar or parameter.name.upper()) + default
        more = "" if parameter.nargs != -1 else "..." if parameter.required else "... (or none)"
        options = sorted(option for option in parameter.opts if option.startswith("-"))
        if "completion" not in parameter.name and not getattr(parameter, "hidden", False):
            parts.append(" ".join([*options, value + more]).strip())
    return "\n  ".join([path, *sorted(parts)])


def test_commands_and_options_keep_their_names():
    assert "\n".join(interface(*one) for one in sorted(COMMANDS.items())) + "\n" == INTERFACE.read_text()


@pytest.mark.parametrize("path", COMMANDS)
def test_help_of_a_command(path: str, capsys: pytest.CaptureFixture[str]):
    command = COMMANDS[path]
    assert main([*path.split()[1:], "--help"]) == 0
    shown = capsys.readouterr().out
    assert "\033" not in shown
    assert all(option in shown for parameter in command.params for option in parameter.opts[:1] if option[0] == "-")
    if not hasattr(command, "commands"):
        (example,) = re.findall(r"Example: (.*?) *\n", shown)
        arguments = shlex.split(example.removeprefix('eval "$(').removesuffix(')"'))
        assert " ".join(arguments).startswith(path)
        command.make_context(path, arguments[len(path.split()) :])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "Missing command."),
        (["db"], "Missing command."),
        (["unknown"], "No such command 'unknown'."),
        (["data", "get"], "Missing argument 'NAME'."),
        (["rescue", "a", "--bogus"], "No such option: --bogus"),
        (["hours", "a", "--json"], "Option '--json' requires an argument."),
        (["plan", "a", "--max-array-size", "0"], "Invalid value for '--max-array-size': Input should be greater"),
        (["watch", "a", "--seconds", "inf"], "Invalid value for '--seconds': Input should be less than"),
        (["checkpoints", "clean", "--older-than", "nan"], "Invalid value for '--older-than': Input should be greater"),
        (["start", "a", "-fd", "[1]"], "Invalid value for '-fd' / '--filter-dict': '[1]' is not a dictionary such as"),
    ],
)
def test_wrong_usage(arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    first, *usage = printed.err.splitlines()
    assert first.startswith(f"walking-noise: {fault}")
    assert len(usage) <= 1
    assert all(line.startswith("Usage: walking-noise") for line in usage)


def test_options_of_seml_are_passed_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def refuse(*arguments: object) -> None:
        raise UserError(str(arguments))

    monkeypatch.setattr("experiments.submit.add_runs.add", refuse)
    assert main(["add", "c", "-nh", "a.yaml", "-d", "-text", "--keep", "X", "-o", "{'a': 1}", "-ncs"]) == 1
    arguments = ("c", ["a.yaml"], ["X"], {"a": 1}, ["--no-hash", "--no-sanity-check", "--description", "-text"])
    assert capsys.readouterr().err == f"walking-noise: {arguments}\n"


def test_an_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.submit.demo_study.demo", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr() == ("", "")
