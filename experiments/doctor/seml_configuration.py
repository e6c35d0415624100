"""Checks of the files of SEML: its database configuration, their permissions, and its settings."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import yaml

from experiments.doctor.examined_site import NO_CONFIGURATION, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning

REQUIRED = ("username", "password", "host", "port", "database")
READ_BY_SEML = {*REQUIRED, "directConnection", "ssh_config"}
CONFIGURE = 'run `seml configure`, or `walking-noise db start` and `eval "$(walking-noise db env)"`'
ALL_USERS, OTHER_USERS, OTHERS_WRITE = 0o777, 0o077, 0o022


def well_formed(site: Site) -> Iterator[Finding]:
    """The configuration exists and has the entries that SEML requires and none that SEML would ignore."""
    file = site.file
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as fault:
        yield error(f"cannot read {file}: {fault.strerror}", CONFIGURE)
        return
    except (yaml.YAMLError, UnicodeDecodeError):
        yield error(f"{file} is not valid YAML", CONFIGURE)
        return
    entries = content if isinstance(content, dict) else {}
    ignored = sorted(map(str, entries.keys() - READ_BY_SEML))
    host = str(entries.get("host"))
    if missing := [name for name in REQUIRED if name not in entries]:
        yield error(f"{', '.join(missing)} missing in {file}", CONFIGURE)
    elif ignored:
        yield error(
            f"SEML ignores {', '.join(ignored)} in {file}",
            "write connection options into the host: `host: mongodb://NAME/?tls=true&tlsCAFile=FILE`",
        )
    elif "://" in host and urlsplit(host).password is not None:
        yield error(f"the host in {file} contains a password, which messages may show", "move it to `password:` there")
    else:
        yield ok(str(file))


def private_to_owner(site: Site) -> Iterator[Finding]:
    """Only the owner can read the file with the password, and only the owner can replace it."""
    file, folder = site.file, site.file.parent
    if not file.exists():
        raise NotChecked(NO_CONFIGURATION)
    file_mode, folder_mode = (path.stat().st_mode & ALL_USERS for path in (file, folder))
    if file_mode & OTHER_USERS:
        yield error(
            f"{file} contains a password, and other users can access it (mode {file_mode:o})", f"run `chmod 600 {file}`"
        )
    elif not folder_mode & OTHER_USERS:
        yield ok("only the owner can read the password")
    if folder_mode & OTHERS_WRITE:
        yield error(f"other users can write to {folder} (mode {folder_mode:o})", f"run `chmod 700 {folder}`")
    elif folder_mode & OTHER_USERS:
        yield warning(f"other users can access {folder} (mode {folder_mode:o})", f"run `chmod 700 {folder}`")


def settings_load(site: Site) -> Iterator[Finding]:
    """``settings.py`` of the user, which SEML executes at every start, runs without an error."""
    try:
        import seml.settings  # noqa: F401
    except Exception as fault:  # the file may raise any error
        why = f"{type(fault).__name__}: {fault}"
        yield error(f"SEML's settings.py fails, so every SEML command fails: {why}", "correct the file or move it away")
    else:
        yield ok("they can be loaded")
