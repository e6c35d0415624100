"""``walking-noise doctor`` reports every planted fault with its remedy, and nothing else."""

from __future__ import annotations

import contextlib
import json
import re
import time
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
from experiments.doctor import gpu_device, slurm_cluster, worker_folders
from experiments.doctor.examination import line, report
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
    """A database with one user who lacks rights and one with too many; their names are their passwords."""
    database = EmbeddedDatabase(tmp_path_factory.mktemp("several") / "db")
    database.start()
    database.stop()
    assert database.access is not None
    with database.server.locked() as lock:
        process = database.server.start(database._command(database.access.port), lock)
        database._wait(lambda: database.answers, lambda: process.poll() is not None)
        with database.access.client(authenticate=False) as client:
            for name, role in OTHERS.items():
                authority = DATABASE if role == "read" else "admin"
                client[DATABASE].command("createUser", name, pwd=name, roles=[{"role": role, "db": authority}])
        process.terminate()
        process.wait()
    database.start()
    yield database
    database.stop()


@pytest.fixture(scope="module")
def checkout(staged: Document, client: MongoClient[Document], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the source files that are stored for the runs."""
    folder, stored = tmp_path_factory.mktemp("checkout"), gridfs.GridFS(client[DATABASE])
    for name, file_id in staged["seml"]["source_files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(stored.get(file_id).read())
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


def test_without_a_fault_nothing_is_reported(sandbox: Sandbox):
    assert sandbox.faults() == []


@pytest.mark.parametrize("plant", faults.FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_reported_alone_with_its_remedy(sandbox: Sandbox, plant: faults.Plant):
    plant(sandbox)
    ((name, finding),) = sandbox.faults()
    level, check, problem, remedy = faults.FAULTS[plant]
    assert (finding.level, name) == (level, check)
    assert re.search(problem, finding.found)
    assert re.search(remedy, finding.mend)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("reader", [(ERROR, "writing", "grantRolesToUser")]),
        ("master", [(WARNING, "rights", "create a user with the role readWrite on walking_noise")]),
    ],
)
def test_rights(sandbox: Sandbox, several_users: EmbeddedDatabase, user: str, expected: list[tuple[str, str, str]]):
    content = yaml.safe_load(several_users.configuration.read_text())
    sandbox.configure(content, username=user, password=user)
    found = [(finding.level, name, finding.mend) for name, finding in sandbox.faults() if name in ("writing", "rights")]
    assert [fault[:2] for fault in found] == [fault[:2] for fault in expected]
    assert all(remedy in text for (*_, text), (*_, remedy) in zip(found, expected, strict=True))


def test_a_missing_collection(sandbox: Sandbox):
    ((name, finding),) = sandbox.faults("table1", sandbox.runs.name)
    assert (finding.level, name, finding.found) == (ERROR, "collections", "collection table1 does not exist")


def test_completed_runs_need_no_data_set(sandbox: Sandbox):
    sandbox.patch.setenv("WALKING_NOISE_DATA", str(sandbox.folder / "data"))
    sandbox.runs.update_one({"_id": 1}, {"$set": {"config.data.name": "cifar10", "status": COMPLETED}})
    assert sandbox.faults() == []


def test_several_faults_are_all_reported(sandbox: Sandbox):
    for plant in (faults.database_down, faults.slurm_down, faults.world_readable_password, faults.full_disk):
        plant(sandbox)
    assert [name for name, _ in sandbox.faults()] == ["database", "file modes", "Slurm", "disk"]


def test_a_password_in_the_host_is_never_shown(sandbox: Sandbox, embedded: EmbeddedDatabase):
    assert embedded.access is not None
    for plant in (faults.password_in_the_host, faults.database_down):
        plant(sandbox)
        report = "".join(line(name, finding) for name, finding in sandbox.examine())
        assert embedded.access.password not in report


def test_missing_indexes_are_created_on_request(sandbox: Sandbox):
    faults.missing_index(sandbox)
    created = dict(sandbox.examine(fix=True))["indexes"]
    assert (created.level, created.found) == (OK, f"created: {sandbox.runs.name} (claim.token, status, _id)")
    assert sandbox.faults() == []


def test_a_state_folder_that_other_nodes_cannot_access(sandbox: Sandbox):
    faults.database_for_one_host(sandbox)
    sandbox.patch.setattr(worker_folders, "NODE_LOCAL_FOLDERS", (str(sandbox.folder),))
    (finding,) = [finding for name, finding in sandbox.faults() if name == "state folder"]
    assert finding.level == WARNING
    assert finding.found.endswith(f"is below {sandbox.folder}, which other nodes cannot access")


def test_the_default_state_folder_is_next_to_the_logs(sandbox: Sandbox):
    sandbox.patch.delenv("WALKING_NOISE_STATE")
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.output_dir": "logs"}, "$unset": {"seml.output_file": ""}})
    (finding,) = [finding for name, finding in sandbox.examine() if name == "state folder"]
    assert finding.found == str(Path.cwd() / "logs" / "state")
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.output_file": f"{sandbox.folder}/a.out"}})
    (finding,) = [finding for name, finding in sandbox.examine() if name == "state folder"]
    assert finding.found == str(sandbox.folder / "state")


@dataclass
class Gpus:
    """GPUs that torch reports."""

    names: tuple[str, ...]
    total: int
    free: int

    def plant(self, sandbox: Sandbox) -> None:
        patch = sandbox.patch
        patch.setattr(gpu_device, "DEVICES", (sandbox.folder,))
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
            [(OK, f"a worker uses cuda:0, {A100}, 39.0 of 40.0 GiB free, CUDA 13.0")],
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
            [
                (OK, f"cuda:0, {A100}"),
                (
                    OK,
                    "this machine has 2 GPUs, and a worker uses one; WALKING_NOISE_DEVICE chooses another",
                ),
            ],
        ),
        (
            Gpus((A100, A100), 40 * GIB, 39 * GIB),
            {"SLURM_JOB_ID": "7"},
            [(OK, f"cuda:0, {A100}"), (WARNING, "this task has 2 GPUs, but a worker uses one")],
        ),
        (
            Gpus((), 0, 0),
            {"WALKING_NOISE_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "0"},
            [(OK, "workers use the CPU, as set by WALKING_NOISE_DEVICE")],
        ),
        (
            Gpus((A100,), 40 * GIB, 39 * GIB),
            {"WALKING_NOISE_DEVICE": "cpu"},
            [(WARNING, "this machine has 1 GPU, but workers use cpu")],
        ),
    ],
)
def test_gpus(sandbox: Sandbox, gpus: Gpus, environment: dict[str, str], expected: list[tuple[str, str]]):
    gpus.plant(sandbox)
    for name, value in environment.items():
        sandbox.patch.setenv(name, value)
    found = [finding for name, finding in sandbox.examine() if name == "GPU"]
    assert [finding.level for finding in found] == [level for level, _ in expected]
    assert all(text in finding.found for finding, (_, text) in zip(found, expected, strict=True))


def test_a_defective_gpu(sandbox: Sandbox):
    Gpus((A100,), 40 * GIB, 39 * GIB).plant(sandbox)

    def fail(*shape: int, device: torch.device) -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nand more")

    sandbox.patch.setattr(torch, "zeros", fail)
    ((name, finding),) = sandbox.faults()
    assert (name, finding.level) == ("GPU", ERROR)
    assert finding.found == "cuda:0 cannot be used: CUDA error: uncorrectable ECC error encountered"


def lines(sandbox: Sandbox, *names: str, configuration: Path | None = None) -> list[str]:
    with contextlib.closing(Site(names, configuration_file=configuration or sandbox.configuration)) as site:
        return list(report(site, []))


def test_the_report(sandbox: Sandbox):
    """The report on a site without faults equals the expected text."""
    text = "".join(f"{line}\n" for line in lines(sandbox, sandbox.runs.name))
    for pattern, name in (
        (str(sandbox.folder), "FOLDER"),
        (sandbox.runs.name, "NAME"),
        (r"of \S*/checkout0", "of CHECKOUT"),
        (r"in /\S*mlxtend\S*", "in MLXTEND"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"MongoDB [\d.]+", "MongoDB VERSION"),
        (r"Python [\d.]+\d", "Python VERSION"),
        (r"(walking_noise|torch) [\d.]+\S*\d", r"\1 VERSION"),
        (r"not needed by unfinished runs: .*", "not needed by unfinished runs: OTHERS"),
    ):
        text = re.sub(pattern, name, text)
    assert text == Path(__file__).with_name("doctor.txt").read_text()


def test_on_a_node_only_checks_that_may_differ_there_run(sandbox: Sandbox):
    faults.slurm_down(sandbox)
    names = {name for name, _ in sandbox.examine(node=True)}
    assert {"database", "data sets", "state folder", "GPU", "dependencies"} < names
    assert not {"Slurm", "secrets", "file modes"} & names


def test_the_node_command_is_given_if_there_are_other_nodes(sandbox: Sandbox):
    name = sandbox.runs.name
    assert not [text for text in lines(sandbox, name) if "srun" in text]
    faults.database_for_one_host(sandbox)
    assert lines(sandbox, name)[-1].endswith(f"run: srun --gres=gpu:1 walking-noise doctor {name} --node")


def test_checks_that_depend_on_a_fault_are_summed_up(sandbox: Sandbox):
    """One line names them for each missing prerequisite, and the report ends with the first thing to do."""
    sandbox.patch.delenv("WALKING_NOISE_STATE")
    faults.no_configuration(sandbox)
    faults.slurm_down(sandbox)
    *_, database, totals, following = lines(sandbox)
    assert database == (
        "unchecked  database, writing, file modes, database from nodes, rights, secrets, collections, indexes, "
        "sources, options of runs, failures, state folder, disk, data sets: SEML has no valid configuration"
    )
    assert totals == "errors: 2, warnings: 0"
    assert re.fullmatch(
        r"next \(SEML's configuration\): run `seml configure`, or .*walking-noise db start.*", following
    )


def test_an_error_is_mended_before_a_warning(sandbox: Sandbox):
    name = sandbox.runs.name
    faults.missing_index(sandbox)
    assert lines(sandbox, name)[-1] == f"next (indexes): run `walking-noise doctor {name} --fix`"
    faults.full_disk(sandbox)
    assert lines(sandbox, name)[-1].startswith("next (disk): make space")


def test_slurm_that_hangs_takes_a_limited_time(sandbox: Sandbox):
    """Slurm does not answer at all, or only the first query."""
    sandbox.slurm("scontrol", "exec sleep 60")
    started = time.monotonic()
    sandbox.patch.setattr("experiments.slurm.TIMEOUT_SECONDS", 0.5)
    assert [name for name, _ in sandbox.faults()] == ["Slurm"]
    sandbox.slurm("scontrol", 'test -e "$0.asked" && exec sleep 60; touch "$0.asked"; echo "MaxArraySize = 1001"')
    for program in ("sinfo", "squeue"):
        sandbox.slurm(program, "exec sleep 60")
    assert [(name, finding.level) for name, finding in sandbox.faults()] == [("Slurm", WARNING)]
    assert time.monotonic() - started < 50


NO_CLUSTER = 'echo "scontrol: fatal: Could not establish a configuration source" >&2; exit 1'


def test_a_machine_that_belongs_to_no_cluster_is_no_fault(sandbox: Sandbox):
    """Slurm's commands may be installed; only with SLURM_CONF a configuration is expected."""
    sandbox.slurm("scontrol", NO_CLUSTER)
    assert sandbox.faults() == []
    finding = dict(sandbox.examine())["Slurm"]
    assert finding.level == UNCHECKED
    assert finding.found.endswith("finds no configuration of a cluster; train on this machine with "
                                  "`walking-noise start NAME --local`")  # fmt: skip
    sandbox.patch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    assert [(name, fault.level) for name, fault in sandbox.faults()] == [("Slurm", ERROR)]
    sandbox.patch.delenv("SLURM_CONF")
    sandbox.patch.setattr(slurm_cluster, "COMMANDS", ("no-such-slurm-command",))
    assert dict(sandbox.examine())["Slurm"].found.startswith("Slurm is not installed; ")


UNCONFIGURED = """
import sys
from experiments.doctor import examination, examined_site, gpu_device

gpu_device.DEVICES = ()
findings = []
list(examination.report(examined_site.Site(environment={}), findings))
assert "SEML's configuration" in [name for name, finding in findings if finding.level == "error"]
assert "torch" not in sys.modules
"""


def test_an_unconfigured_machine_needs_no_torch(shell: Shell, tmp_path: Path):
    """Torch, whose import takes seconds, is imported only by checks that need it."""
    shell.run("python", "-c", UNCONFIGURED, executed=True, XDG_CONFIG_HOME=str(tmp_path))


def test_settings_that_seml_cannot_load(shell: Shell, tmp_path: Path):
    (tmp_path / "seml").mkdir()
    (tmp_path / "seml" / "settings.py").write_text("SETTINGS = {'A': undefined}")
    with shell.start("walking-noise", "doctor", XDG_CONFIG_HOME=str(tmp_path)) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search("error +SEML's settings: .*NameError: name 'undefined'", output)
    assert re.search("unchecked  SEML's configuration, .*: SEML's settings cannot be loaded\n", output)
    assert output.endswith("next (SEML's settings): correct the file or move it away\n")


def test_as_a_command(shell: Shell, staged: Document, tmp_path: Path):
    """The run of the fixture holds the environment of the tests, which is an error."""
    with shell.start("walking-noise", "doctor", "staged", "--json", str(tmp_path / "findings.json")) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    findings = json.loads((tmp_path / "findings.json").read_text())
    printed = output.splitlines()
    levels = [text.split(":")[0].split(maxsplit=1) for text in printed if text.split()[0] in LEVELS]
    assert [found for found in levels if found[0] != UNCHECKED] == [
        [finding["level"], finding["what"]] for finding in findings if finding["level"] != UNCHECKED
    ]
    impossible = {name for level, names in levels if level == UNCHECKED for name in names.split(", ")}
    assert impossible == {finding["what"] for finding in findings if finding["level"] == UNCHECKED}
    errors = sum(finding["level"] == ERROR for finding in findings)
    warnings = sum(finding["level"] == WARNING for finding in findings)
    assert f"errors: {errors}, warnings: {warnings}" in printed
