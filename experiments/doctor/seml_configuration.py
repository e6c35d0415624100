"""Checks of the files of SEML: its database configuration, their permissions, and its settings."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning

REQUIRED = ("username", "password", "host", "port", "database")
READ_BY_SEML = {*REQUIRED, "directConnection", "ssh_config"}
CONFIGURE = 'run `seml configure`, or `walking-noise db start` and `eval "$(walking-noise db env)"`'
OTHER_USERS = stat.S_IRWXG | stat.S_IRWXO


def well_formed(site: Site) -> Iterator[Finding]:
    """The configuration exists and has the entries that SEML requires and none that SEML would ignore."""
    try:
        content = yaml.safe_load(site.file.read_text())
    except OSError as fault:
        yield error(f"cannot read {site.file}: {fault.strerror}", CONFIGURE)
        return
    except (yaml.YAMLError, UnicodeDecodeError):
        yield error(f"{site.file} is not valid YAML", CONFIGURE)
        return
    faults = list(_faults(content, site.file))
    yield from faults or [ok(f"{site.file}")]


def _faults(content: Any, file: Path) -> Iterator[Finding]:
    if not isinstance(content, dict):
        yield error(f"{file} contains no settings", CONFIGURE)
        return
    missing = [name for name in REQUIRED if name not in content]
    if missing:
        yield error(f"{', '.join(missing)} missing in {file}", CONFIGURE)
        return
    if not str(content["port"]).isdecimal():
        yield error(f"the port in {file} is not a number", "write it as `port: 27017`")
    ignored = sorted(map(str, content.keys() - READ_BY_SEML))
    if ignored:
        yield error(
            f"SEML ignores {', '.join(ignored)} in {file}",
            "write connection options into the host: `host: mongodb://NAME/?tls=true&tlsCAFile=FILE`",
        )
    host = str(content["host"])
    if "://" in host and urlsplit(host).password is not None:
        yield error(
            f"the host in {file} contains a password, which messages may show", "move it to `password:` in this file"
        )
    if content["username"] is None:
        yield warning(
            f"{file} names no user: everyone who can reach the database can read and change the runs",
            "create users with passwords in the database",
        )


def private_to_owner(site: Site) -> Iterator[Finding]:
    """Only the owner can read the file with the password, and only the owner can replace it."""
    if not site.file.exists():
        raise NotChecked("SEML has no configuration file")
    mode = site.file.stat().st_mode
    if mode & OTHER_USERS:
        yield error(
            f"{site.file} contains a password, and other users can access it ({_octal(mode)})",
            f"run `chmod 600 {site.file}`",
        )
    folder = site.file.parent
    mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield error(f"other users can write to {folder} ({_octal(mode)})", f"run `chmod 700 {folder}`")
    elif mode & OTHER_USERS:
        yield warning(f"other users can access {folder} ({_octal(mode)})", f"run `chmod 700 {folder}`")
    if not mode & OTHER_USERS and not site.file.stat().st_mode & OTHER_USERS:
        yield ok("only the owner can read the password")


def settings_load(site: Site) -> Iterator[Finding]:
    """``settings.py`` of SEML, which SEML executes at every start, runs without an error."""
    settings = site.file.with_name("settings.py")
    if not settings.exists():
        yield ok(f"SEML uses its defaults; {settings} does not exist")
        return
    script = "import runpy, sys; sys.exit('SETTINGS' not in runpy.run_path(sys.argv[1]))"
    loaded = subprocess.run([sys.executable, "-c", script, str(settings)], capture_output=True, text=True)
    if loaded.returncode:
        messages = loaded.stderr.strip().splitlines()
        why = messages[-1] if messages else "it defines no SETTINGS"
        yield error(f"{settings} fails, so every SEML command fails: {why}", "correct the file or move it away")
    else:
        yield ok(f"{settings} loads")


def _octal(mode: int) -> str:
    return f"mode {stat.S_IMODE(mode):o}"
