"""``walking-noise doctor``: every planted fault is found, alone, with its mend; where there is none, none is found."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gridfs
import pytest
import torch
import yaml
from pymongo import MongoClient

from experiments.database.connection import Document, Runs
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.database.run_status import COMPLETED
from experiments.doctor import worker_folders
from experiments.doctor.examination import command_for_a_node, line
from experiments.doctor.examined_site import Site
from experiments.doctor.finding import ERROR, OK, UNCHECKED, WARNING
from tests.experiments.doctor import faults
from tests.experiments.sandbox import GIB, Sandbox
from tests.experiments.shell import Shell
from tests.experiments.worker.claiming import Fill

LEVELS = (OK, WARNING, ERROR, UNCHECKED)
OTHERS = {"reader": "read", "master": "root"}


@pytest.fixture(scope="module")
def several_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    """A database with users that have too few rights, and too many; their names are their passwords."""
    database = EmbeddedDatabase(tmp_path_factory.mktemp("several") / "db")
    database.start()
    database.stop()
    assert database.access is not None
    with database.server.locked() as lock:
        process = database.server.start(database._command(database.access.port), lock)
        database._wait(lambda: database.answers, lambda: process.poll() is not None)
        with database.access.client(authenticate=False) as client:
            for name, role in OTHERS.items():
                place = DATABASE if role == "read" else "admin"
                client[DATABASE].command("createUser", name, pwd=name, roles=[{"role": role, "db": place}])
        process.terminate()
        process.wait()
    database.start()
    yield database
    database.stop()


@pytest.fixture(scope="module")
def checkout(staged: Document, client: MongoClient[Document], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout from which the runs were added, as it was then."""
    folder, kept = tmp_path_factory.mktemp("checkout"), gridfs.GridFS(client[DATABASE])
    for name, file_id in staged["seml"]["source_files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(kept.get(file_id).read())
    return folder


@pytest.fixture
def sandbox(
    embedded: EmbeddedDatabase,
    runs: Runs,
    pending_runs: Fill,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Sandbox:
    pending_runs([{}])
    runs.update_one({"_id": 1}, {"$set": {"seml.env": {"HOME": "/home/me"}, "seml.working_dir": str(checkout)}})
    sandbox = Sandbox(tmp_path, runs, monkeypatch)
    sandbox.configure(yaml.safe_load(embedded.configuration.read_text()))
    return sandbox


def test_nothing_is_found_where_nothing_is_wrong(sandbox: Sandbox):
    assert sandbox.faults() == []


@pytest.mark.parametrize("plant", faults.FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_alone_and_with_its_mend(sandbox: Sandbox, plant: faults.Plant):
    plant(sandbox)
    ((what, finding),) = sandbox.faults()
    level, where, found, mend = faults.FAULTS[plant]
    assert (finding.level, what) == (level, where)
    assert re.search(found, finding.found)
    assert re.search(mend, finding.mend)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("reader", [(ERROR, "writing", "grantRolesToUser"), (ERROR, "rights", "grant it")]),
        ("master", [(WARNING, "rights", "make a user for it with readWrite on walking_noise")]),
    ],
)
def test_rights(sandbox: Sandbox, several_users: EmbeddedDatabase, user: str, expected: list[tuple[str, str, str]]):
    content = yaml.safe_load(several_users.configuration.read_text())
    sandbox.configure(content, username=user, password=user)
    found = [(finding.level, what, finding.mend) for what, finding in sandbox.faults() if what in ("writing", "rights")]
    assert [fault[:2] for fault in found] == [fault[:2] for fault in expected]
    assert all(mend in said for (*_, said), (*_, mend) in zip(found, expected, strict=True))


def test_a_collection_that_is_not_there(sandbox: Sandbox):
    ((what, finding),) = sandbox.faults("table1", sandbox.runs.name)
    assert (finding.level, what, finding.found) == (ERROR, "collections", "there is no table1")


def test_runs_that_have_ended_need_nothing(sandbox: Sandbox):
    sandbox.patch.setenv("WALKING_NOISE_DATA", str(sandbox.folder / "data"))
    sandbox.runs.update_one({"_id": 1}, {"$set": {"config.data.name": "cifar10", "status": COMPLETED}})
    assert sandbox.faults() == []


def test_several_faults_are_all_found_and_no_check_hides_another(sandbox: Sandbox):
    for plant in (faults.database_down, faults.slurm_away, faults.world_readable_password, faults.full_disk):
        plant(sandbox)
    assert [what for what, _ in sandbox.faults()] == ["file modes", "database", "Slurm", "disk"]


def test_a_password_in_the_host_is_never_shown(sandbox: Sandbox, embedded: EmbeddedDatabase):
    assert embedded.access is not None
    for plant in (faults.password_in_the_host, faults.database_down):
        plant(sandbox)
        said = "".join(line(what, finding) for what, finding in sandbox.examine())
        assert embedded.access.password not in said


def test_indexes_are_made_on_request(sandbox: Sandbox):
    faults.missing_index(sandbox)
    made = dict(sandbox.examine(mend=True))["indexes"]
    assert (made.level, made.found) == (OK, f"made: {sandbox.runs.name} (claim.token, status, _id)")
    assert sandbox.faults() == []


def test_state_that_other_nodes_do_not_see(sandbox: Sandbox):
    faults.database_for_one_host(sandbox)
    for kind, mounts in (("in memory (tmpfs)", f"none {sandbox.folder} tmpfs rw 0 0\n"), ("below /tmp", "")):
        sandbox.write("mounts", f"disk / ext4 rw 0 0\n{mounts}")
        sandbox.patch.setattr(worker_folders, "OF_A_NODE", () if mounts else (str(sandbox.folder),))
        (finding,) = [finding for what, finding in sandbox.faults() if what == "state folder"]
        assert finding.level == WARNING
        assert re.search("is (in memory|below) .*, which other nodes do not see$", finding.found), kind


def test_the_state_folder_is_beside_the_logs_unless_named(sandbox: Sandbox):
    sandbox.patch.delenv("WALKING_NOISE_STATE")
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.output_dir": "logs"}, "$unset": {"seml.output_file": ""}})
    (finding,) = [finding for what, finding in sandbox.examine() if what == "state folder"]
    assert finding.found == str(Path.cwd() / "logs" / "state")
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.output_file": f"{sandbox.folder}/a.out"}})
    (finding,) = [finding for what, finding in sandbox.examine() if what == "state folder"]
    assert finding.found == str(sandbox.folder / "state")


@dataclass
class Gpus:
    """GPUs as torch sees them."""

    names: tuple[str, ...]
    total: int
    free: int

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", lambda: len(self.names))
        patch.setattr(torch.cuda, "get_device_name", lambda device: self.names[device.index])
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (self.free, self.total))
        patch.setattr(torch, "zeros", lambda *shape, device: None)
        patch.setattr(torch.version, "cuda", "13.0")


A100 = "NVIDIA A100-SXM4-40GB"


@pytest.mark.parametrize(
    ("gpus", "environment", "expected"),
    [
        (
            Gpus((A100,), 40 * GIB, 39 * GIB),
            {},
            [(OK, f"a worker takes cuda:0, {A100}, 39.0 of 40.0 GiB free, CUDA 13.0")],
        ),
        (
            Gpus((f"{A100} MIG 1g.5gb",), 5 * GIB, 4 * GIB),
            {},
            [(OK, f"cuda:0, {A100} MIG 1g.5gb, 4.0 of 5.0 GiB free")],
        ),
        (Gpus((A100,), 40 * GIB, 3 * GIB), {}, [(WARNING, "3.0 of 40.0 GiB free")]),
        (
            Gpus((A100, "T4"), 40 * GIB, 39 * GIB),
            {},
            [(OK, f"cuda:0, {A100}"), (OK, "2 GPUs are here; for another worker set WALKING_NOISE_DEVICE to cuda:1")],
        ),
        (
            Gpus((A100, A100), 40 * GIB, 39 * GIB),
            {"SLURM_JOB_ID": "7"},
            [(OK, f"cuda:0, {A100}"), (WARNING, "this task has 2 GPUs, and a worker uses one")],
        ),
        (
            Gpus((), 0, 0),
            {"WALKING_NOISE_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "0"},
            [(OK, "workers take the CPU, as WALKING_NOISE_DEVICE says")],
        ),
        (
            Gpus((A100,), 40 * GIB, 39 * GIB),
            {"WALKING_NOISE_DEVICE": "cpu"},
            [(WARNING, "1 GPUs are here, and workers take cpu")],
        ),
    ],
)
def test_gpus(sandbox: Sandbox, gpus: Gpus, environment: dict[str, str], expected: list[tuple[str, str]]):
    gpus.plant(sandbox.patch)
    for name, value in environment.items():
        sandbox.patch.setenv(name, value)
    found = [finding for what, finding in sandbox.examine() if what == "GPU"]
    assert [finding.level for finding in found] == [level for level, _ in expected]
    assert all(text in finding.found for finding, (_, text) in zip(found, expected, strict=True))


def test_a_gpu_that_is_out_of_order(sandbox: Sandbox):
    Gpus((A100,), 40 * GIB, 39 * GIB).plant(sandbox.patch)

    def fails(*shape: int, device: torch.device) -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nand more")

    sandbox.patch.setattr(torch, "zeros", fails)
    ((what, finding),) = sandbox.faults()
    assert (what, finding.level) == ("GPU", ERROR)
    assert finding.found == "cuda:0 cannot be used: CUDA error: uncorrectable ECC error encountered"


def test_the_report(sandbox: Sandbox):
    """A healthy report is as it was read and found good."""
    text = "".join(f"{line(what, finding)}\n" for what, finding in sandbox.examine())
    for pattern, name in (
        (str(sandbox.folder), "FOLDER"),
        (sandbox.runs.name, "NAME"),
        (r"of \S*/checkout0", "of CHECKOUT"),
        (r"in /\S*mlxtend\S*", "in MLXTEND"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"MongoDB [\d.]+", "MongoDB VERSION"),
        (r"Python: [\d.]+", "Python: VERSION"),
        (r"(walking_noise|torch) [\d.]+\S*\d", r"\1 VERSION"),
        (r"on \d+ cores", "on N cores"),
        (r"of those that no run waits for: .*", "of those that no run waits for: OTHERS"),
    ):
        text = re.sub(pattern, name, text)
    assert text == Path(__file__).with_name("doctor.txt").read_text()


def test_on_a_node_only_what_may_differ_there_is_looked_at(sandbox: Sandbox):
    faults.slurm_away(sandbox)
    looked_at = {what for what, _ in sandbox.examine(node=True)}
    assert {"database", "data sets", "state folder", "GPU", "dependencies"} < looked_at
    assert not {"Slurm", "nodes", "secrets", "file modes"} & looked_at


def test_the_command_for_a_node_lands_where_the_runs_do(sandbox: Sandbox):
    with contextlib.closing(Site((sandbox.runs.name,), configuration_file=sandbox.configuration)) as site:
        assert command_for_a_node(site) is None
    faults.database_for_one_host(sandbox)
    with contextlib.closing(Site((sandbox.runs.name,), configuration_file=sandbox.configuration)) as site:
        assert command_for_a_node(site) == f"srun --gres=gpu:1 walking-noise doctor {sandbox.runs.name} --node"


def test_as_a_command(shell: Shell, staged: Document, tmp_path: Path):
    """The fixture's run carries the environment of the tests, which is an error."""
    with shell.start("walking-noise", "doctor", "staged", "--json", str(tmp_path / "found.json")) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    findings = json.loads((tmp_path / "found.json").read_text())
    lines = output.splitlines()
    assert [text.split(":")[0].split(maxsplit=1) for text in lines if text.split()[0] in LEVELS] == [
        [finding["level"], finding["what"]] for finding in findings
    ]
    errors = sum(finding["level"] == ERROR for finding in findings)
    warnings = sum(finding["level"] == WARNING for finding in findings)
    assert f"errors: {errors}, warnings: {warnings}" in lines
