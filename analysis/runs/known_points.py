"""Noise points of runs, as results store them; a run without a result has those of a run with the same model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analysis.runs.documents import Document
from walking_noise.models.point import Point, points_of_document

Points = tuple[Point, ...]


def with_points(
    documents: Iterable[Document], known: dict[str, Points], waiting: list[tuple[int, Document]]
) -> Iterator[tuple[int, Document, Points | None]]:
    """The position, the document, and the noise points of each run; None if the model has to be built to find them.

    A run without a result is added to ``waiting``, unless ``known`` has the points of its model
    (:func:`model_of`) from the result of a run before. The results add to ``known``. Results of earlier versions store
    the names of the points only. Their models are built.
    """
    for position, document in enumerate(documents):
        model, stored = model_of(document), (document.get("result") or {}).get("points")
        if model not in known and (points := points_of_document(stored)) is not None:
            known[model] = points
        if stored or model in known:
            yield position, document, known.get(model)
        else:
            waiting.append((position, document))


def model_of(document: Document) -> str:
    """The settings that decide the noise points, as text."""
    config = document.get("config") or {}
    groups = config.get("data"), config.get("model")
    return repr([sorted(group.items()) if isinstance(group, dict) else group for group in groups])
