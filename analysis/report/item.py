"""Item of the report: what it shows, the runs it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.figures.layout.style import Plot
from analysis.midpoints.study import Study
from analysis.paper.planned_grids import planned_grids_sentence
from analysis.tables.table_files import Table

Parts = Sequence[Plot | Table]
DATA_SETS = ("mnist", "fashion_mnist", "svhn", "cifar10", "gsc")


@dataclass(frozen=True)
class ReportItem:
    """Item of the report: a table or figure of the papers, or another part.

    Attributes
    ----------
    number
        Number in the papers, for example ``Figure 3``, or a name.
    title
        Title of the item.
    needs
        Text of the runs that the item needs. It follows "Not available: needs".
    grids
        Files below ``seml_configs`` that plan these runs.
    make
        Function that writes the files of its tables and figures into a folder. It returns none of them if there are not
        enough runs.
    on_request
        Whether the figures of a study with more than :data:`~analysis.report.report_items.MOST_SERIES` series are drawn
        on request only, because they take most of the time.
    """

    number: str
    title: str
    needs: str
    grids: tuple[str, ...]
    make: Callable[[Study, Path], Parts]
    on_request: bool = False

    @property
    def missing_runs(self) -> str:
        """Sentence for an item without tables and figures: the runs it needs, and the grids that plan them."""
        return f"Not available: needs {self.needs}. {planned_grids_sentence(self.grids)}".rstrip()


def grids_of(*studies: str, names: Sequence[str] = DATA_SETS) -> tuple[str, ...]:
    """Files below ``seml_configs`` of some studies, by data set."""
    return tuple(f"{study}/{data}.yaml" for study in studies for data in names)
