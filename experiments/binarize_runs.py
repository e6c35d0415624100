"""A look inside the kept networks of completed runs, stored in the runs' own documents (``binarization``)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.database.connection import Document, Runs
from experiments.database.run_status import COMPLETED
from experiments.database.stored_config import run_config
from experiments.errors import UserError
from walking_noise import ConfigError, RunConfig, WalkingNoiseError, data
from walking_noise.checkpoints.network_cache import NetworkUnreadable, cached_networks_beside, read_network
from walking_noise.checkpoints.provenance import provenance
from walking_noise.probes import Findings, probe
from walking_noise.runtime.sizing.capacity import default_device
from walking_noise.training.member import TrainedNetwork

Show = Callable[[str], None]
"""Called with what is being looked at."""

IN_COMMON = ("data", "model", "training", "seed")
"""The settings that a run has in common with its noise-free twin."""


@dataclass(frozen=True)
class KeptRun:
    """A completed run with noise, its network, and that of the same run without noise."""

    id: int
    config: RunConfig
    file: str
    network: TrainedNetwork
    twin: TrainedNetwork

    @property
    def noise_in_words(self) -> str:
        """Kind, level and point of its noise."""
        noise = self.config.noise
        level = " ".join(f"{name} {getattr(noise, name):g}" for name in self.config.level_settings)
        return f"{noise.kind} {level} at {f'point {noise.point}' if isinstance(noise.point, int) else noise.point}"


def not_looked_into(runs: Runs) -> list[int]:
    """The completed runs of a collection, with noise, whose networks were kept and not looked into, by their ids.

    Raises
    ------
    UserError
        There is none.
    """
    kept = {"status": COMPLETED, "result.network": {"$ne": None}, "binarization": None}
    found = [run["_id"] for run in runs.find(kept, {"config": 1}).sort("_id", 1) if run_config(run["config"]).noisy]
    if not found:
        raise UserError(f"collection {runs.name} has no completed run with noise whose network waits to be looked into")
    return found


def kept_runs(runs: Runs, ids: Sequence[int], folder: Path) -> list[KeptRun]:
    """Runs of a collection with their networks from ``folder``.

    Raises
    ------
    UserError
        A run is not there, is not completed, has no noise, or one of its two networks cannot be read.
    """
    return [_kept_run(runs, run, folder) for run in ids]


def binarize(run: KeptRun, device: torch.device | None, samples: int, show: Show) -> Document:
    """What is found inside the run's network and its noise-free twin, as plain values for its document.

    Distributions are those of the first ``samples`` of the validation set; ``device`` None is a GPU if there is one.

    Raises
    ------
    UserError
        The data are not there, or a network cannot be looked into.
    """
    where = device or default_device()

    def look(config: RunConfig, network: TrainedNetwork, kind: str) -> Findings:
        return probe(config, network, dataset, where, samples, lambda at: show(f"run {run.id}, {kind} network: {at}"))

    try:
        dataset = data.load(**vars(run.config.data))
        noise_free = look(run.config.without_noise(), run.twin, "noise-free")
        noisy = look(run.config, run.network, "noisy")
    except WalkingNoiseError as error:
        raise UserError(f"run {run.id}: {error}") from None
    return {
        "samples": min(samples, len(dataset.validation_labels)),
        "validation_samples": len(dataset.validation_labels),
        "provenance": provenance(dataset, where),
        "noise_free": dataclasses.asdict(noise_free),
        "noisy": dataclasses.asdict(noisy),
    }


def store(runs: Runs, run: KeptRun, findings: Document) -> None:
    """Put the findings into the run's document, in the place of any before.

    Raises
    ------
    UserError
        The run was reset, deleted or trained anew meanwhile.
    """
    same = {"_id": run.id, "status": COMPLETED, "result.network": run.file}
    if runs.update_one(same, {"$set": {"binarization": findings}}).matched_count == 0:
        raise UserError(f"run {run.id} was reset or deleted meanwhile; its findings are not stored")


def in_words(findings: Document) -> str:
    """The findings in a line: the accuracy, and where the values that arrive have clusters."""
    noisy = findings["noisy"]
    text = f"accuracy {noisy['noise_on']:.3f} with noise, {noisy['noise_off']:.3f} without"
    for point in noisy["points"]:
        arriving = point["arriving"]
        if arriving["clusters"]["count"] > 1:
            text += f"; {point['name']}: {arriving['clusters']['count']} clusters, quantised {arriving['noise_on']:.3f}"
    return text


def _kept_run(runs: Runs, run: int, folder: Path) -> KeptRun:
    document = runs.find_one({"_id": run}, {"status": 1, "config": 1, "result.network": 1})
    if document is None:
        raise UserError(f"collection {runs.name} has no run {run}")
    if document["status"] != COMPLETED:
        raise UserError(f"run {run} is {document['status']}; only a completed run has a trained network")
    try:
        config = run_config(document["config"])
    except ConfigError as error:
        raise UserError(f"run {run}: {error}") from None
    file = document.get("result", {}).get("network")
    if file is None:
        raise UserError(f"run {run} kept no network; add it again with training.keep_network: true")
    if not config.noisy:
        raise UserError(f"run {run} has no noise; name the runs with noise, each is compared with its noise-free twin")
    try:
        network = read_network(folder / file)
    except NetworkUnreadable as error:
        raise UserError(f"run {run}: its network cannot be read: {error}") from None
    return KeptRun(run, config, file, network, _noise_free(run, config, folder / file))


def _noise_free(run: int, config: RunConfig, network: Path) -> TrainedNetwork:
    """The network that was trained as the run's, without noise, and lies beside it."""
    clean, unreadable = config.without_noise(), ""
    for file in cached_networks_beside(network, clean):
        try:
            return read_network(file)
        except NetworkUnreadable as error:
            unreadable = str(error)
    if unreadable:
        raise UserError(f"run {run}: its noise-free twin cannot be read: {unreadable}; reset the run that kept it")
    flat = clean.to_flat() | {"training.keep_network": True}
    wanted = {name: value for name, value in flat.items() if name.startswith(IN_COMMON) and value is not None}
    settings = ", ".join(f"{name}: {json.dumps(value)}" for name, value in wanted.items()).replace('"', "")
    raise UserError(
        f"run {run}: its noise-free twin is not in {network.parent}; "
        f"add and start a run with noise.kind: none, {settings}"
    )
