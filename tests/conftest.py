"""Configuration of all tests: an isolated environment, and a reason for every test that cannot run here."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

DATA_ROOT = os.environ.get("WALKING_NOISE_DATA") or None
MONGODB = os.environ.get("WALKING_NOISE_MONGODB") or None

MOST_PROCESSES = 8
"""More do not pay: each starts an embedded database and adds a run to it."""
LONGEST_FILES = (
    "tests/experiments/worker/test_worker.py",
    "tests/experiments/submit/test_demo.py",
    "tests/documentation/test_pages.py",
    "tests/experiments/worker/test_database_outages.py",
    "tests/walking_noise/checkpoints/test_resuming_processes.py",
    "tests/analysis/report/test_report.py",
    "tests/experiments/submit/test_start_runs.py",
    "tests/analysis/report/test_browser.py",
    "tests/walking_noise/checkpoints/test_resuming.py",
    "tests/experiments/plan/test_grids.py",
    "tests/walking_noise/pack/test_pack_any_module.py",
    "tests/walking_noise/noise/test_triton_kernels.py",
    "tests/experiments/doctor/test_doctor.py",
    "tests/walking_noise/evaluation/test_shared_prefix.py",
    "tests/analysis/midpoints/test_trained_network.py",
    "tests/analysis/figures/test_figures.py",
    "tests/analysis/figures/test_binarization.py",
    "tests/walking_noise/pack/test_pack.py",
    "tests/experiments/worker/test_worker_losses.py",
    "tests/walking_noise/training/test_triton_update.py",
    "tests/walking_noise/test_own_parts.py",
    "tests/walking_noise/runtime/test_worker_pool.py",
    "tests/analysis/report/test_large_page.py",
    "tests/experiments/database/test_tls.py",
    "tests/walking_noise/checkpoints/test_code_digest.py",
    "tests/walking_noise/runtime/test_train_runs.py",
)
"""The files that take longest, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests, and every process they start, out of the user's home and on one core each.

    Done before any test module is imported, because libraries look for their configuration on import. Python may write
    its bytecode: otherwise each of the hundreds of processes would compile the sources of torch again.
    """
    if DATA_ROOT is not None and not Path(DATA_ROOT).is_dir():
        raise pytest.UsageError(f"WALKING_NOISE_DATA={DATA_ROOT} is not a folder")
    if _distributes_tests(config):  # its processes inherit its environment, and need the address of data and database
        return
    home = tempfile.TemporaryDirectory(prefix="walking-noise-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    environment = pytest.MonkeyPatch()
    config.add_cleanup(environment.undo)
    for name in list(os.environ):
        if name.startswith(("WALKING_NOISE_", "XDG_", "SLURM_", "SBATCH_")):
            environment.delenv(name)
    environment.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    environment.setattr(sys, "dont_write_bytecode", False)
    environment.setenv("HOME", home.name)
    environment.setenv("MPLBACKEND", "Agg")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setenv(name, "1")
    gc.set_threshold(100_000)  # imports and large studies create many objects that stay


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the longest files first, so that none is left for one process at the end."""
    rank = {config.rootpath / name: number for number, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """Exclude the imported modules from further searches for garbage, each of which would visit all their objects."""
    gc.collect()
    gc.freeze()


def _distributes_tests(config: pytest.Config) -> bool:
    """Whether this process runs no test, but starts the processes of pytest-xdist that do."""
    return config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The number of processes for ``--numprocesses auto``: one more than cores, because some tests wait.

    Each process imports all tests, which takes 15 seconds, and starts an embedded database.
    """
    return min(len(os.sched_getaffinity(0)) + 1, MOST_PROCESSES)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_chromium() -> bool:
    from tests.analysis.report.pages import CHROMIUM

    return CHROMIUM is not None


def _has_slurm() -> bool:
    from tests.cluster.private_slurm import is_installed

    return is_installed()


REQUIREMENTS: dict[str, tuple[Callable[[], bool], str]] = {
    "data": (lambda: DATA_ROOT is not None, "no data sets: WALKING_NOISE_DATA is not set"),
    "gpu": (_has_cuda, "no CUDA device"),
    "mongo": (lambda: MONGODB is not None, "no MongoDB server: WALKING_NOISE_MONGODB is not set"),
    "browser": (_has_chromium, "no Chromium (Debian: apt-get install chromium)"),
    "slurm": (_has_slurm, "no Slurm: slurmctld, slurmd, slurm-client or munge is not installed"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what a test's markers say it needs and this machine does not have."""
    for marker, (is_met, reason) in REQUIREMENTS.items():
        if item.get_closest_marker(marker) is not None and not is_met():
            pytest.skip(reason)


@pytest.fixture
def forked_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pools fork their worker processes; see :mod:`tests.forked`."""
    from tests.forked import Forked
    from walking_noise.runtime import worker_pool

    monkeypatch.setattr(worker_pool, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": Forked}))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder that holds the data sets in torchvision's layout; skips the test where there is none."""
    if DATA_ROOT is None:
        pytest.skip(REQUIREMENTS["data"][1])
    return Path(DATA_ROOT).resolve()


@pytest.fixture(scope="session")
def mongodb_uri() -> str:
    """Address of a real MongoDB server the tests may write to; skips the test where there is none."""
    if MONGODB is None:
        pytest.skip(REQUIREMENTS["mongo"][1])
    return MONGODB
