"""Fixtures: one private Slurm and one embedded database for all tests; the logs of Slurm are shown if a test fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.login_node import LoginNode, login_node
from tests.cluster.private_slurm import PrivateSlurm, Settings, private_slurm

QUICK = {
    "WALKING_NOISE_CHECKPOINT_SECONDS": "0.5",
    "WALKING_NOISE_LEASE_SECONDS": "10",
    "WALKING_NOISE_PACK_SIZE": "8",
}
"""Options of workers that shorten hours to seconds."""


@pytest.fixture(scope="session")
def slurm() -> Iterator[PrivateSlurm]:
    with private_slurm(Settings(gpus=4, max_array_size=17, kill_wait=15)) as slurm:
        yield slurm


@pytest.fixture(scope="session")
def login(slurm: PrivateSlurm) -> Iterator[LoginNode]:
    with login_node(slurm, QUICK) as login:
        yield login


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    slurm = getattr(item, "funcargs", {}).get("slurm")
    if report.failed and isinstance(slurm, PrivateSlurm):
        report.sections.append(("the private Slurm", slurm.log_tails()))
    return report
