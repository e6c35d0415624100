"""SEML's own files: which database it uses, and its settings."""

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
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def well_formed(site: Site) -> Iterator[Finding]:
    """The configuration is there and has what SEML reads; what SEML would ignore is named."""
    try:
        content = yaml.safe_load(site.file.read_text())
    except OSError as fault:
        yield error(f"{site.file}: {fault.strerror}", CONFIGURE)
        return
    except (yaml.YAMLError, UnicodeDecodeError):
        yield error(f"{site.file} is no YAML", CONFIGURE)
        return
    faults = list(_faults(content, site.file))
    yield from faults or [ok(f"{site.file}")]


def _faults(content: Any, file: Path) -> Iterator[Finding]:
    if not isinstance(content, dict):
        yield error(f"{file} holds no settings", CONFIGURE)
        return
    lacking = [name for name in REQUIRED if name not in content]
    if lacking:
        yield error(f"{file} lacks {', '.join(lacking)}", CONFIGURE)
        return
    if not str(content["port"]).isdecimal():
        yield error(f"the port in {file} is no number", "give it as `port: 27017`")
    ignored = sorted(map(str, content.keys() - READ_BY_SEML))
    if ignored:
        yield error(
            f"SEML ignores {', '.join(ignored)} in {file}",
            "options of the connection go into the host, as `host: mongodb://NAME/?tls=true&tlsCAFile=FILE`",
        )
    host = str(content["host"])
    if "://" in host and urlsplit(host).password is not None:
        yield error(f"the host in {file} holds a password, which messages may show", "move it to `password:` there")
    if content["username"] is None:
        yield warning(
            f"{file} names no user: everyone who reaches the database reads and changes the runs",
            "give the database users with passwords",
        )


def for_its_owner_alone(site: Site) -> Iterator[Finding]:
    """Nobody else reads the password, or can put another file in the place of its own."""
    if not site.file.exists():
        raise NotChecked("SEML has no configuration")
    mode = site.file.stat().st_mode
    if mode & OTHERS:
        yield error(f"{site.file} holds a password, and others may read it ({_octal(mode)})", f"chmod 600 {site.file}")
    folder = site.file.parent
    mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield error(f"others may write to {folder} ({_octal(mode)})", f"chmod 700 {folder}")
    elif mode & OTHERS:
        yield warning(f"others may look into {folder} ({_octal(mode)})", f"chmod 700 {folder}")
    if not mode & OTHERS and not site.file.stat().st_mode & OTHERS:
        yield ok("the password is readable by its owner alone")


def settings_load(site: Site) -> Iterator[Finding]:
    """``settings.py``, which SEML executes at every start, does not fail."""
    settings = site.file.with_name("settings.py")
    if not settings.exists():
        yield ok(f"SEML's own; there is no {settings}")
        return
    script = "import runpy, sys; sys.exit('SETTINGS' not in runpy.run_path(sys.argv[1]))"
    loaded = subprocess.run([sys.executable, "-c", script, str(settings)], capture_output=True, text=True)
    if loaded.returncode:
        said = loaded.stderr.strip().splitlines()
        why = said[-1] if said else "it defines no SETTINGS"
        yield error(f"{settings} fails, and every command of SEML with it: {why}", "correct it or move it away")
    else:
        yield ok(f"{settings} loads")


def _octal(mode: int) -> str:
    return f"mode {stat.S_IMODE(mode):o}"
