"""Probes of the kept networks of completed runs, stored in the field ``binarization`` of their documents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.database.connection import Document, Runs
from experiments.database.run_status import COMPLETED
from experiments.errors import UserError
from walking_noise import ConfigError, RunConfig, WalkingNoiseError, data
from walking_noise.checkpoints.network_cache import NetworkUnreadable, cached_networks_beside, read_network
from walking_noise.checkpoints.provenance import provenance
from walking_noise.probes import Findings, probe
from walking_noise.runtime.sizing.capacity import default_device
from walking_noise.training.member import TrainedNetwork

Show = Callable[[str], None]
"""Called with a text that names the part of a network that is being probed."""

SHARED_SETTINGS = ("data", "model", "training", "seed")
"""Sections of the settings in which a run equals the same run without noise."""


@dataclass(frozen=True)
class KeptRun:
    """Completed run with noise, its network, and the network of its noise-free twin.

    The noise-free twin is the same run without noise.
    """

    id: int
    config: RunConfig
    file: str
    network: TrainedNetwork
    twin: TrainedNetwork

    @property
    def noise_text(self) -> str:
        """Kind, level and noise point of the run."""
        noise = self.config.noise
        level = " ".join(f"{name} {getattr(noise, name):g}" for name in self.config.level_settings)
        return f"{noise.kind} {level} at {f'point {noise.point}' if isinstance(noise.point, int) else noise.point}"


def unprobed_runs(runs: Runs) -> list[int]:
    """The ids of completed runs with noise that kept their network and have not been probed, in ascending order."""
    unprobed = {"status": COMPLETED, "result.network": {"$ne": None}, "binarization": None}
    ids = [
        run["_id"]
        for run in runs.find(unprobed, {"config": 1}).sort("_id", 1)
        if RunConfig.from_document(run["config"]).noisy
    ]
    if not ids:
        raise UserError(
            f"collection {runs.name}: all stored networks of completed runs with noise have been probed, or there are "
            "none; give run ids to probe again"
        )
    return ids


def binarize(run: KeptRun, device: torch.device | None, samples: int, show: Show) -> Document:
    """Probe the network of the run and of its noise-free twin; return the findings as plain values for its document.

    Distributions are taken over the first ``samples`` samples of the validation set. If ``device`` is None, a GPU is
    used if there is one.
    """
    used_device = device or default_device()

    def findings(config: RunConfig, network: TrainedNetwork, kind: str) -> Findings:
        return probe(
            config, network, dataset, used_device, samples, lambda part: show(f"run {run.id}, {kind} network: {part}")
        )

    try:
        dataset = data.load(**vars(run.config.data))
        noise_free = findings(run.config.without_noise(), run.twin, "noise-free")
        noisy = findings(run.config, run.network, "noisy")
    except WalkingNoiseError as error:
        raise UserError(f"run {run.id}: {error}") from None
    return {
        "samples": min(samples, len(dataset.validation_labels)),
        "validation_samples": len(dataset.validation_labels),
        "provenance": provenance(run.config, dataset, used_device),
        "noise_free": dataclasses.asdict(noise_free),
        "noisy": dataclasses.asdict(noisy),
    }


def store(runs: Runs, run: KeptRun, findings: Document) -> None:
    """Store the findings in the document of the run, unless the run has changed; they replace earlier ones."""
    unchanged = {"_id": run.id, "status": COMPLETED, "result.network": run.file}
    if runs.update_one(unchanged, {"$set": {"binarization": findings}}).matched_count == 0:
        raise UserError(f"run {run.id} was reset or deleted while it was probed; its findings were not stored")


def summary(findings: Document) -> str:
    """One line: the accuracies, and the noise points at which the incoming values have more than one cluster."""
    noisy = findings["noisy"]
    text = f"accuracy {noisy['noise_on']:.3f} with noise, {noisy['noise_off']:.3f} without"
    for point in noisy["points"]:
        incoming = point["arriving"]
        clusters = incoming["clusters"]["count"]
        if clusters > 1:
            text += f"; {point['name']}: {clusters} clusters, accuracy {incoming['noise_on']:.3f} when quantised"
    return text


def kept_run(runs: Runs, run: int, folder: Path) -> KeptRun:
    """Read a completed run with noise, and both of its networks from ``folder``."""
    document = runs.find_one({"_id": run}, {"status": 1, "config": 1, "result.network": 1})
    if document is None:
        raise UserError(f"collection {runs.name} has no run {run}")
    if document["status"] != COMPLETED:
        raise UserError(f"run {run} is {document['status']}; only a completed run has a trained network")
    try:
        config = RunConfig.from_document(document["config"])
    except ConfigError as error:
        raise UserError(f"run {run}: {error}") from None
    file = document.get("result", {}).get("network")
    if file is None:
        raise UserError(f"run {run} kept no network; add it again with training.keep_network: true")
    if not config.noisy:
        raise UserError(
            f"run {run} has no noise; give the ids of runs with noise, which are compared with the same runs without "
            "noise"
        )
    try:
        network = read_network(folder / file)
    except NetworkUnreadable as error:
        raise UserError(f"run {run}: its network cannot be read: {error}") from None
    return KeptRun(run, config, file, network, _noise_free(run, config, folder / file))


def _noise_free(run: int, config: RunConfig, network: Path) -> TrainedNetwork:
    """The network of the noise-free twin, from the folder of the run's network."""
    clean, unreadable = config.without_noise(), ""
    for file in cached_networks_beside(network, clean):
        try:
            return read_network(file)
        except NetworkUnreadable as error:
            unreadable = str(error)
    if unreadable:
        raise UserError(
            f"run {run}: the network of the same run without noise cannot be read: {unreadable}; reset the run that "
            "wrote it"
        )
    flat = clean.to_flat() | {"training.keep_network": True}
    required = {name: value for name, value in flat.items() if name.startswith(SHARED_SETTINGS) and value is not None}
    settings = ", ".join(f"{name}: {json.dumps(value)}" for name, value in required.items()).replace('"', "")
    raise UserError(
        f"run {run}: the network of the same run without noise is not in {network.parent}; "
        f"add and start a run with noise.kind: none, {settings}"
    )
