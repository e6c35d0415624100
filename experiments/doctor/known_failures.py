"""Check of failures that stop workers of a study, or exclude nodes from it."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.doctor.examined_site import Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.doctor.stored_runs import collections_of


def failures(site: Site) -> Iterator[Finding]:
    """No study is stopped by its first failures, and no node is excluded from it."""
    collections = collections_of(site)
    from experiments.worker.failures.claims import excluded_nodes, exclusion_remedy, pack_limit_text
    from experiments.worker.failures.first_failures import stop_of
    from experiments.worker.records.study_record import pack_limits

    for runs in collections:
        stop, excluded = stop_of(site.database, runs.name), excluded_nodes(site.database, runs.name)
        if stop and stop.node is None:
            yield error(str(stop), stop.remedy)
        for reason in excluded.values():
            yield warning(reason, exclusion_remedy(runs.name))
        for device, size in pack_limits(site.database, runs.name).items():
            yield ok(pack_limit_text(runs.name, device, size))
        if not stop and not excluded:
            yield ok(f"none stops workers of {runs.name}")
