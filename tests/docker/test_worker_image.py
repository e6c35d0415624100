"""Properties of the worker image that are checked without building it; ``make test-image`` builds it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = [DOCKER / "Dockerfile", DOCKER / "omniboard" / "Dockerfile"]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, in order."""
    text = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(name, arguments) for name, _, arguments in (line.partition(" ") for line in lines)]


def arguments_of(name: str, dockerfile: Path) -> list[str]:
    return [arguments for instruction, arguments in instructions(dockerfile) if instruction == name]


def copied() -> set[str]:
    """The paths of the checkout that are copied into the worker image."""
    return {source for arguments in arguments_of("COPY", DOCKERFILES[0]) for source in arguments.split()[:-1]}


def section(name: str) -> list[str]:
    """The lines of a section of apptainer.def."""
    _, _, rest = (DOCKER / "apptainer.def").read_text().partition(f"\n%{name}\n")
    assert rest, f"apptainer.def has no %{name}"
    body, _, _ = rest.partition("\n%")
    return [line.strip() for line in body.splitlines() if line.strip()]


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+)==(\S+) ", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_do_not_run_as_root(dockerfile: Path):
    assert arguments_of("USER", dockerfile)[-1] not in ("root", "0", "0:0")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_base_images_have_an_exact_version(dockerfile: Path):
    bases = [base for base in arguments_of("FROM", dockerfile) if base != "${BASE}"]
    bases += [argument.removeprefix("BASE=") for argument in arguments_of("ARG", dockerfile)]
    assert bases
    assert all(re.fullmatch(r"[\w/]+:(\d+\.\d+\.\d+|\w+-\d{8})(-\w+)*", base) for base in bases), bases


def test_apptainer_and_docker_build_the_same_image():
    header = (DOCKER / "apptainer.def").read_text()
    assert [f"BASE={base}" for base in re.findall(r"^From: (\S+)$", header, re.MULTILINE)] == arguments_of(
        "ARG", DOCKERFILES[0]
    )
    assert {line.split()[0] for line in section("files")} == copied()
    runs = " ".join(arguments_of("RUN", DOCKERFILES[0]))
    assert section("post")[1:] == re.findall(r"\./install\.sh requirements \S+|\./install\.sh package", runs)


def test_the_build_context_is_what_the_image_copies():
    allowed = {
        line.removeprefix("!")
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert allowed == copied()
    assert all((ROOT / path).exists() for path in allowed)


def test_pins_of_the_worker_are_complete_and_those_of_the_lock():
    worker, lock = pins("worker.txt"), pins("lock.txt")
    assert worker.items() <= lock.items(), "run `make lock`"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["worker"]]
    assert {canonicalize_name(Requirement(line).name) for line in needed} <= worker.keys(), "run `make lock`"
    assert not worker.keys() & {"pytest", "mypy", "secantusdb"}
    assert "://" not in (ROOT / "requirements" / "worker.txt").read_text()


def test_a_job_uses_the_python_of_the_image(tmp_path: Path):
    apptainer = tmp_path / "apptainer"
    apptainer.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    apptainer.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}"}
    command = [str(DOCKER / "apptainer" / "python"), "train.py", "with", "data.name=two words"]
    image = {"WALKING_NOISE_IMAGE": "/images/worker.sif"}
    printed = subprocess.run(command, env=environment | image, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [
        *("exec", "--nv", "/images/worker.sif", "python"),
        *("train.py", "with", "data.name=two words"),
    ]
    without = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert without.returncode != 0
    assert "/path/to/walking_noise.sif" in without.stderr
