"""Checks of the stored runs: collections, indexes, secrets, source files, and the data sets that they need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.database.collection_names import check_name
from experiments.database.connection import Runs
from experiments.database.indexes import ensure_indexes, missing_indexes
from experiments.database.run_collections import unfinished_filter
from experiments.doctor.examined_site import CHECKOUT, UNFINISHED, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.errors import UserError
from experiments.status.failures.reset_commands import delete_and_add
from experiments.submit.scrub_secrets import count_excess
from experiments.terminal.text_table import runs_in_words
from walking_noise import data


def collections(site: Site) -> Iterator[Finding]:
    """All named collections exist."""
    sizes = {runs.name: runs.estimated_document_count() for runs in site.collections}
    for name in site.names:
        if name not in sizes:
            yield error(
                f"collection {name} does not exist",
                f"run `walking-noise add {name} FILE`, or `seml list` for existing names",
            )
    for name in sizes:
        try:
            check_name(name)
        except UserError as fault:
            yield error(str(fault), f"delete it (`seml {name} delete`), and add its runs under another name")
    if sizes or not site.names:
        yield ok(", ".join(f"{name} ({runs_in_words(size)})" for name, size in sizes.items()) or "there are none yet")


def indexes(site: Site) -> Iterator[Finding]:
    """Every collection has the indexes that its queries need; ``--fix`` creates missing ones."""
    for runs in collections_of(site):
        missing = (ensure_indexes if site.fix else missing_indexes)(site.database, runs.name)
        names = ", ".join(f"{name} ({', '.join(index)})" for name, indexes in missing.items() for index in indexes)
        if not names:
            yield ok(f"{runs.name} has all indexes")
        elif site.fix:
            yield ok(f"created: {names}")
        else:
            yield warning(f"missing: {names}", f"run `walking-noise doctor {runs.name} --fix`")


def secrets(site: Site) -> Iterator[Finding]:
    """No document holds an environment variable that may be a secret."""
    for runs in collections_of(site):
        count, names = count_excess(runs)
        if count:
            yield error(
                f"disallowed variables or addresses in {runs_in_words(count)} of {runs.name}: "
                f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}",
                f"run `walking-noise scrub {runs.name}`, then change the passwords and tokens among them",
            )
        else:
            yield ok(f"none in {runs.name}")


def collections_of(site: Site) -> list[Runs]:
    """The collections to check. Raise :class:`NotChecked` if there are none."""
    if not site.collections:
        raise NotChecked("there are no runs yet")
    return site.collections


def options(site: Site) -> Iterator[Finding]:
    """The options of workers that are stored with the runs that are not completed are valid."""
    collections = collections_of(site)
    from experiments.worker.worker_options import check_variables, exported  # imports torch

    for runs in collections:
        group = {"_id": {"batch": "$batch_id", "env": "$seml.env", "slurm": "$slurm"}, "runs": {"$sum": 1}}
        found: dict[tuple[int, str], int] = {}
        for equal in runs.aggregate([{"$match": unfinished_filter()}, {"$group": group}]):
            stored = equal["_id"]
            environment = stored.get("env") or {}
            for variables in (environment, *(environment | exported([one]) for one in stored.get("slurm") or ())):
                try:
                    check_variables(variables)
                except UserError as fault:
                    key = stored["batch"], str(fault)
                    found[key] = found.get(key, 0) + equal["runs"]
                    break
        for (batch, text), count in found.items():
            yield error(
                f"{runs_in_words(count)} of batch {batch} of {runs.name}: {text}",
                f"correct or unset it; cancel PENDING runs (`seml {runs.name} cancel -b {batch}`); then "
                f"{delete_and_add(runs.name, f'-b {batch}')}",
            )
        if not found:
            yield ok(f"valid in {runs.name}")


def sources(site: Site) -> Iterator[Finding]:
    """The source files stored for unfinished runs, which workers will execute, equal those of the checkout."""
    for runs in collections_of(site):
        unfinished = {"status": {"$in": UNFINISHED}, "seml.source_files": {"$exists": True}}
        seml = {"$first": "$seml"}  # of one run of each batch
        by_batch = {"$group": {"_id": "$batch_id", "seml": seml}}
        for group in runs.aggregate([{"$match": unfinished}, by_batch, {"$sort": {"_id": 1}}]):
            batch, checkout = group["_id"], Path(group["seml"].get("working_dir", CHECKOUT))
            stored = _contents(site, [file_id for _, file_id in group["seml"]["source_files"]])
            changed = [
                path
                for path, file_id in group["seml"]["source_files"]
                if not (checkout / path).is_file() or stored.get(file_id, b"") != (checkout / path).read_bytes()
            ]
            if changed:
                more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
                yield warning(
                    f"the source files of batch {batch} of {runs.name} differ from those in {checkout}: "
                    f"{', '.join(changed[:3])}{more}",
                    f"run `seml {runs.name} reload-sources -b {batch}` to train its runs with the current code",
                )
            else:
                yield ok(f"batch {batch} of {runs.name} has the source files of {checkout}")


def _contents(site: Site, file_ids: list[Any]) -> dict[Any, bytes]:
    """The contents of files in GridFS, but empty or missing ones, by one query: SEML stores a batch in succession."""
    within = {"$gte": min(file_ids, default=None), "$lte": max(file_ids, default=None)}
    contents: dict[Any, bytes] = {}
    for chunk in site.database["fs.chunks"].find({"files_id": within}).sort([("files_id", 1), ("n", 1)]):
        contents[chunk["files_id"]] = contents.get(chunk["files_id"], b"") + chunk["data"]
    return contents


def data_sets(site: Site) -> Iterator[Finding]:
    """Data sets of unfinished runs are present; the other data sets are listed as present or missing."""
    unfinished = {"status": {"$in": UNFINISHED}}
    needed = {name for runs in site.collections for name in runs.distinct("config.data.name", unfinished)}
    known = data.sources().keys()
    for name in sorted(needed & known):
        status = data.status(name)
        if status.present:
            yield ok(f"{name} {status.extent or 'present'} in {status.folder}")
        else:
            files = ", ".join(path.name for path in status.missing)
            yield error(
                f"unfinished runs need data set {name}, but the following is missing in {status.folder}: {files}",
                f"run `walking-noise data get {name}` on a machine with Internet access and with WALKING_NOISE_DATA "
                "set to the same folder, which all nodes must be able to read",
            )
    others = {name: data.status(name).present for name in sorted(known - needed)}
    if others:
        present, missing = (", ".join(name for name in others if others[name] is wanted) for wanted in (True, False))
        listed = f"{present or 'none'} present, {missing or 'none'} missing"
        yield ok(f"not needed by unfinished runs: {listed} (in {data.data_root()})")
