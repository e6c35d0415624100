"""Faults to plant in a sandbox, one at a time, and the finding that ``walking-noise doctor`` must report for each."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import torch
import yaml

from experiments.database.embedded_server import HOST
from experiments.doctor.finding import ERROR, WARNING
from tests.experiments.sandbox import GIB, Sandbox, configured
from tests.experiments.worker.past import attempt, fail, worker

Plant = Callable[[Sandbox], None]


def no_configuration(sandbox: Sandbox) -> None:
    sandbox.configuration.unlink()


def damaged_configuration(sandbox: Sandbox) -> None:
    sandbox.write("seml/mongodb.config", "{")
    sandbox.configuration.chmod(0o600)


def tls_where_seml_ignores_it(sandbox: Sandbox) -> None:
    sandbox.reconfigure(tls=True)


def password_in_the_host(sandbox: Sandbox) -> None:
    content = yaml.safe_load(sandbox.configuration.read_text())
    sandbox.reconfigure(host=f"mongodb://{content['username']}:{content['password']}@{content['host']}/")


def world_readable_password(sandbox: Sandbox) -> None:
    sandbox.configuration.chmod(0o644)


def folder_open_to_all(sandbox: Sandbox) -> None:
    sandbox.configuration.parent.chmod(0o777)


def database_down(sandbox: Sandbox) -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        sandbox.reconfigure(port=probe.getsockname()[1])
    sandbox.patch.setattr("experiments.doctor.examined_site.SERVER_TIMEOUT_MS", 200)


def wrong_password(sandbox: Sandbox) -> None:
    sandbox.reconfigure(password="guess")


def name_with_a_slash(sandbox: Sandbox) -> None:
    sandbox.runs.rename(f"{sandbox.runs.name}/a")
    sandbox.runs = sandbox.runs.database[f"{sandbox.runs.name}/a"]


def missing_index(sandbox: Sandbox) -> None:
    sandbox.runs.drop_index("claim.token_1_status_1__id_1")


def secret_in_documents(sandbox: Sandbox) -> None:
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.env.DATABASE_PASSWORD": "hunter2"}})


def older_sources(sandbox: Sandbox) -> None:
    """A checkout in which one source file differs from that of the run, and one is missing."""
    run = sandbox.runs.find_one({"_id": 1})
    assert run is not None
    checkout = Path(shutil.copytree(run["seml"]["working_dir"], sandbox.folder / "checkout"))
    (checkout / "experiments" / "train.py").write_text("# new\n")
    (checkout / "walking_noise" / "version.py").unlink()
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.working_dir": str(checkout)}})


def slurm_down(sandbox: Sandbox) -> None:
    sandbox.slurm("scontrol", "echo 'Unable to contact slurm controller' >&2; exit 1")
    sandbox.slurm("sinfo", "exit 1")


def slurm_partly_installed(sandbox: Sandbox) -> None:
    which = shutil.which
    sandbox.patch.setattr(shutil, "which", lambda name: None if name == "sbatch" else which(name))


def cluster_named_local(sandbox: Sandbox) -> None:
    sandbox.slurm("scontrol", configured("local"))


def database_for_one_host(sandbox: Sandbox) -> None:
    sandbox.slurm("sinfo", "echo n2")


def missing_data_set(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("WALKING_NOISE_DATA", str(sandbox.folder / "data"))
    sandbox.runs.update_one({"_id": 1}, {"$set": {"config.data.name": "cifar10"}})


def unwritable_state_folder(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("WALKING_NOISE_STATE", str(sandbox.write("a file", "") / "state"))


def unwritable_networks_folder(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("WALKING_NOISE_NETWORKS", str(sandbox.write("a file", "") / "networks"))


def full_disk(sandbox: Sandbox) -> None:
    sandbox.disk(free=GIB // 2)


def invalid_option(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("WALKING_NOISE_PACK_SIZE", "many")


def misspelt_option(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("WALKING_NOISE_PACKSIZE", "64")


def invalid_option_of_a_run(sandbox: Sandbox) -> None:
    sandbox.runs.update_one({"_id": 1}, {"$set": {"seml.env.WALKING_NOISE_STATE_QUOTA": "20 GB"}})


def invalid_option_in_the_slurm_options_of_a_run(sandbox: Sandbox) -> None:
    sandbox.runs.update_one({"_id": 1}, {"$set": {"slurm.0.sbatch_options.export": "ALL,WALKING_NOISE_PACK_SIZE=0"}})


def gpu_without_driver(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("CUDA_VISIBLE_DEVICES", "0")
    sandbox.patch.setattr(torch.version, "cuda", "13.0")


def no_c_compiler(sandbox: Sandbox) -> None:
    sandbox.patch.setenv("CC", "no-such-compiler")


def wrong_dependency(sandbox: Sandbox) -> None:
    version = metadata.version
    sandbox.patch.setattr(metadata, "version", lambda name: "0.5.6" if name == "seml" else version(name))


def dependency_not_as_pinned(sandbox: Sandbox) -> None:
    version = metadata.version
    sandbox.patch.setattr(metadata, "version", lambda name: "4.99.0" if name == "pymongo" else version(name))


def first_failures(sandbox: Sandbox) -> None:
    (run,) = sandbox.runs.find()
    sandbox.runs.insert_many({**run, "_id": number} for number in range(2, 10))
    fail(sandbox.runs, range(1, 9), worker(sandbox.runs))


def bad_node(sandbox: Sandbox) -> None:
    for number in range(24):
        one = worker(sandbox.runs, host="n07" if number < 8 else "n01")
        if number < 8:
            attempt(sandbox.runs, 1, one, "LOST", "Slurm task has ended")


FAULTS: Mapping[Plant, tuple[str, str, str, str]] = {
    no_configuration: (ERROR, "SEML's configuration", "No such file", "seml configure"),
    damaged_configuration: (ERROR, "SEML's configuration", "is not valid YAML", "seml configure"),
    tls_where_seml_ignores_it: (ERROR, "SEML's configuration", "SEML ignores tls", r"host: mongodb://NAME/\?tls=true"),
    password_in_the_host: (ERROR, "SEML's configuration", "contains a password", "`password:`"),
    world_readable_password: (
        ERROR,
        "file modes",
        r"other users can access it \(mode 644\)",
        "^run `chmod 600 .*mongodb.config`$",
    ),
    folder_open_to_all: (
        ERROR,
        "file modes",
        r"other users can write to .*seml \(mode 777\)",
        "^run `chmod 700 .*seml`$",
    ),
    database_down: (ERROR, "database", r"no database answers at 127\.0\.0\.1:\d+", "walking-noise db start"),
    wrong_password: (ERROR, "database", "refuses SEML's configuration: ", "seml configure"),
    name_with_a_slash: (ERROR, "collections", r"^'runs\d+/a' cannot be the name of a collection: ", "`seml .* delete`"),
    missing_index: (WARNING, "indexes", r"runs\d+ \(claim.token, status, _id\)$", r"doctor runs\d+ --fix`$"),
    secret_in_documents: (ERROR, "secrets", r"in 1 run of runs\d+: DATABASE_PASSWORD$", "walking-noise scrub runs"),
    older_sources: (
        WARNING,
        "sources",
        "differ from those in .*checkout: (.*experiments/train.py|.*version.py){2}$",
        "reload-sources -b 1",
    ),
    slurm_down: (ERROR, "Slurm", "does not answer", "scontrol ping"),
    slurm_partly_installed: (ERROR, "Slurm", "partly installed: sbatch missing", "PATH"),
    cluster_named_local: (ERROR, "Slurm", "named local", "ClusterName"),
    database_for_one_host: (WARNING, "database from nodes", "n2 cannot reach it", "serves one machine only"),
    missing_data_set: (
        ERROR,
        "data sets",
        "unfinished runs need data set cifar10, but .* missing in ",
        "walking-noise data get cifar10",
    ),
    unwritable_state_folder: (ERROR, "state folder", "cannot write to", "^set WALKING_NOISE_STATE "),
    unwritable_networks_folder: (ERROR, "networks folder", "cannot write to", "^set WALKING_NOISE_NETWORKS "),
    full_disk: (ERROR, "disk", "0.5 GiB free", "make space"),
    invalid_option: (ERROR, "options", "WALKING_NOISE_PACK_SIZE: 'many'", "correct or unset it"),
    misspelt_option: (ERROR, "options", "WALKING_NOISE_PACKSIZE: .* did you mean WALKING_NOISE_PACK_SIZE", "unset it"),
    invalid_option_of_a_run: (
        ERROR,
        "options of runs",
        r"^1 run of batch 1 of runs\d+: WALKING_NOISE_STATE_QUOTA: '20 GB' is refused",
        r"`seml (runs\d+) delete -y -b 1`, `walking-noise add \1 FILE`",
    ),
    invalid_option_in_the_slurm_options_of_a_run: (ERROR, "options of runs", "PACK_SIZE: '0' is refused", "delete"),
    first_failures: (
        ERROR,
        "failures",
        r"^runs\d+ is stopped: no run is completed, 8 FAILED",
        r"`walking-noise start runs\d+`$",
    ),
    bad_node: (WARNING, "failures", "^node n07: 8 of 8 workers failed", r"`walking-noise failures runs\d+ --forget`$"),
    gpu_without_driver: (ERROR, "GPU", "for CUDA 13.0, finds no GPU", "nvidia-smi"),
    no_c_compiler: (WARNING, "GPU", "no C compiler", "install gcc, or set CC"),
    wrong_dependency: (ERROR, "dependencies", "seml 0.5.6 does not satisfy ==0.5.7", "make install"),
    dependency_not_as_pinned: (WARNING, "dependencies", "pymongo 4.99.0", "make install"),
}
