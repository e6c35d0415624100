"""Services of compose.yaml: reachable from this host only, without default passwords, with pinned versions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.database.indexes import HISTORY_INDEXES

DOCKER = Path(__file__).parents[2] / "docker"


REQUIRED = re.compile(r"\$\{(\w+):\?(.+?)\}")
"""A variable without which compose does not start, and its error message."""


def read(name: str) -> Any:
    return yaml.safe_load((DOCKER / name).read_text())


@pytest.fixture(scope="module")
def compose() -> Any:
    return read("compose.yaml")


def test_services_listen_on_loopback(compose: Any):
    ports = [port for service in compose["services"].values() for port in service["ports"]]
    assert len(ports) == len(compose["services"])
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_nodes_reach_the_database_only_by_tls():
    (name, service), *others = [item for item in read("compose.tls.yaml")["services"].items() if "ports" in item[1]]
    assert (name, others) == ("mongodb", [])
    assert "--tlsMode=requireTLS" in service["command"]
    assert all(REQUIRED.match(port) for port in service["ports"]), "the address has a default"


@pytest.mark.parametrize("name", ["compose.yaml", "compose.tls.yaml"])
def test_no_secret_has_a_default(name: str):
    example = (DOCKER / ".env.example").read_text()
    known = dict(re.findall(r"^(?:# )?(\w+)=(.*)$", example, re.MULTILINE))
    for variable, message in REQUIRED.findall((DOCKER / name).read_text()):
        assert known[variable] == "", f"{variable} has a value in the example"
        assert "docker/.env.example" in message
    for service in read(name)["services"].values():
        for variable, value in service.get("environment", {}).items():
            assert "PASSWORD" not in variable or REQUIRED.fullmatch(value), f"{variable} is not required of docker/.env"


def test_git_ignores_the_secrets_of_a_host():
    ignored = (DOCKER / ".gitignore").read_text().split("\n")
    assert {".env", "*.pem"} <= set(ignored)


def test_images_are_pinned(compose: Any):
    images = [service["image"] for service in compose["services"].values() if "image" in service]
    assert images
    assert all(re.fullmatch(r"\w+:\d+\.\d+\.\d+", image) for image in images), images


def test_the_data_of_the_database_are_in_a_volume(compose: Any):
    volumes = dict(volume.split(":")[:2] for volume in compose["services"]["mongodb"]["volumes"])
    named = {name for name, target in volumes.items() if target == "/data/db"}
    assert named == compose["volumes"].keys()


def test_omniboard_waits_for_a_healthy_database(compose: Any):
    assert "healthcheck" in compose["services"]["mongodb"]
    assert compose["services"]["omniboard"]["depends_on"] == {"mongodb": {"condition": "service_healthy"}}


def test_mounted_files_exist(compose: Any):
    mounted = [volume.split(":")[0] for volume in compose["services"]["mongodb"]["volumes"]]
    assert all((DOCKER / path).is_file() for path in mounted if path.startswith("."))
    assert (DOCKER / compose["services"]["omniboard"]["build"] / "Dockerfile").is_file()


def test_a_new_database_has_the_indexes_of_the_history():
    written = re.search(r"const INDEXES = (\{.*?\});", (DOCKER / "mongodb" / "init.js").read_text(), re.DOTALL)
    assert written
    made = json.loads(written[1])
    assert made == {name: [list(index) for index in indexes] for name, indexes in HISTORY_INDEXES.items()}
