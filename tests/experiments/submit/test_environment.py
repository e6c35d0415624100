"""Environment variables that are passed to SEML."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from experiments.errors import UserError
from experiments.submit.environment import allowed_environment, is_allowed, not_allowed


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch):
    for name in os.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/bin")


def test_only_allowed_variables_are_passed(monkeypatch: pytest.MonkeyPatch):
    passing = {"LC_ALL": "C", "WALKING_NOISE_DATA": "/data", "TMPDIR": "/t", "MODULEPATH": "/m"}
    left_out = {
        **{"AWS_SECRET_ACCESS_KEY": "x", "MY_TOKEN": "y", "HTTPS_PROXY": "http://proxy", "SLURM_JOB_ID": "1"},
        **{"WALKING_NOISE_TOKEN": "z", "WALKING_NOISE_DB_PASSWORD": "p", "CUDA_VISIBLE_DEVICES": "0", "EDITOR": "vi"},
    }
    for name, value in {**passing, **left_out}.items():
        monkeypatch.setenv(name, value)
    passed = allowed_environment(XDG_CONFIG_HOME="/demo")
    assert {name: passed.pop(name) for name in passing} == passing
    assert set(passed) == {"PATH", "PYTHONWARNINGS", "XDG_CONFIG_HOME"}


def test_programs_of_this_python_come_first():
    assert allowed_environment()["PATH"] == f"{Path(sys.executable).parent}:/bin"


def test_warnings_never_end_seml(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::FutureWarning,error,error::UserWarning")
    expected = "ignore::FutureWarning,ignore:pkg_resources is deprecated:UserWarning"
    assert allowed_environment()["PYTHONWARNINGS"] == expected
    monkeypatch.setenv("PYTHONWARNINGS", expected)
    assert allowed_environment()["PYTHONWARNINGS"] == expected


def test_a_user_can_pass_more_variables(monkeypatch: pytest.MonkeyPatch):
    for name in ("OMP_NUM_THREADS", "MY_SITE", "OTHER"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("WALKING_NOISE_KEEP", "MY_SITE")
    passed = allowed_environment(["OMP_NUM_THREADS"])
    assert {"OMP_NUM_THREADS", "MY_SITE"} < set(passed)
    assert passed["WALKING_NOISE_KEEP"] == "MY_SITE OMP_NUM_THREADS"
    assert not_allowed(passed) == []
    assert not_allowed({**passed, "OTHER": "1"}) == ["OTHER"]
    del passed["WALKING_NOISE_KEEP"]
    assert sorted(not_allowed(passed)) == ["MY_SITE", "OMP_NUM_THREADS"]


def test_a_user_cannot_pass_a_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GITHUB_TOKEN", "hidden")
    with pytest.raises(UserError, match="cannot keep GITHUB_TOKEN: its name looks like that of a secret") as raised:
        allowed_environment(["GITHUB_TOKEN"])
    assert "hidden" not in str(raised.value)
    with pytest.raises(UserError, match="cannot keep MISSING: the variable is not set in this shell"):
        allowed_environment(["MISSING"])


@pytest.mark.parametrize(
    "value",
    [
        "mongodb://me:hidden@host:27017/runs",
        "https://hidden@github.com/me/data",
        "/data:https://me:hidden@host/data",
        "-----BEGIN OPENSSH PRIVATE KEY-----hidden",
    ],
)
def test_values_with_a_secret_are_rejected(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WALKING_NOISE_DATA", value)
    with pytest.raises(UserError, match="WALKING_NOISE_DATA contains a password or a key") as raised:
        allowed_environment()
    assert "hidden" not in str(raised.value)
    assert not_allowed({"WALKING_NOISE_DATA": value}) == ["WALKING_NOISE_DATA"]


@pytest.mark.parametrize("value", ["/home/me@host/data", "ssh://git@host:22/x", "https://host:80/a@b", "a:b@c"])
def test_addresses_without_a_secret_pass(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WALKING_NOISE_DATA", value)
    assert allowed_environment()["WALKING_NOISE_DATA"] == value


@pytest.mark.parametrize("name", ["PASS", "MY_API_KEY", "db_password", "GH_PAT", "APIKEY", "AUTH_HEADER", "MYTOKEN"])
def test_names_of_secrets(name: str):
    assert not is_allowed(name, [name])


@pytest.mark.parametrize("name", ["KEYBOARD", "COMPASS", "PATIENCE", "AUTHOR", "XDG_CACHE_HOME"])
def test_names_of_other_things(name: str):
    assert is_allowed(name, [name])
