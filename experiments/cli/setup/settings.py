"""``walking-noise settings``: prints the settings of a run and the options of a worker."""

from __future__ import annotations

from typing import Annotated

import typer


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="print the tables of docs/settings.md")] = False,
    json_schema: Annotated[
        bool, typer.Option("--json-schema", help="print a JSON schema of grid files, for editors")
    ] = False,
) -> None:
    """Print the settings of a run and the options of a worker: default, allowed values, meaning.

    Example: walking-noise settings --json-schema
    """
    import json

    from pydantic import BaseModel
    from rich.console import Console
    from rich.table import Table

    from experiments.errors import UserError
    from experiments.plan.grid_schema import grid_schema
    from experiments.worker.worker_options import WorkerOptions
    from walking_noise import RunConfig
    from walking_noise.config import settings_table

    if markdown and json_schema:
        raise UserError("--markdown and --json-schema: give only one of the two")
    if json_schema:
        print(json.dumps(grid_schema(), indent=1))
        return
    titles: dict[str, type[BaseModel]] = {
        "Settings of a run": RunConfig,
        "Options of a worker, environment variables": WorkerOptions,
    }
    for title, kind in titles.items():
        rows = settings_table.rows(kind)
        if markdown:
            print(settings_table.markdown(rows))
            continue
        table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 1, 0))
        table.add_column("name", no_wrap=True)
        table.add_column("default")
        table.add_column("meaning")
        for row in rows:
            table.add_row(row.name, row.default, f"{row.meaning}\nAllowed: {row.allowed}.")
        Console(markup=False, highlight=False).print(table)
