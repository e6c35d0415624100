"""``walking-noise add``: adds the runs of grids to a collection, without the secrets of the shell."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from experiments.cli.parameters import Collection, Grids, dictionary, passed, passed_on, read


def add(
    context: typer.Context,
    collection: Collection,
    files: Grids,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="also pass this environment variable; repeatable")
    ] = None,
    overwrite_params: Annotated[Any, read("-o", "--overwrite-params", metavar="DICT", parser=dictionary)] = None,
    no_hash: Annotated[bool, passed("-nh", "--no-hash")] = False,
    no_sanity_check: Annotated[bool, passed("-ncs", "--no-sanity-check")] = False,
    no_code_checkpoint: Annotated[bool, passed("-ncc", "--no-code-checkpoint")] = False,
    force: Annotated[bool, passed("-f", "--force")] = False,
    description: Annotated[str | None, passed("-d", "--description", metavar="TEXT")] = None,
    no_resolve_descriptions: Annotated[bool, passed("--no-resolve-descriptions")] = False,
) -> None:
    """Add the runs of grids to a collection, without the secrets of this shell.

    Calls `seml COLLECTION add` with only those environment variables that
    jobs need and those named in $WALKING_NOISE_KEEP, because SEML stores every
    variable of its environment in each run's document. `seml COLLECTION add
    --help` explains the SEML options.

    Example: walking-noise add table1_mnist seml_configs/table1/mnist.yaml
    """
    from experiments.submit.add_runs import add
    from experiments.terminal.text_table import runs_in_words

    added = add(collection, files, keep or [], overwrite_params, passed_on(context))
    present = f" ({added.planned - added.runs:,} already present)" if added.runs < added.planned else ""
    print(
        f"{runs_in_words(added.runs)} added to {collection}{present}; environment variables of this shell: "
        f"{added.passed_on} passed to SEML, {added.left_out} left out"
    )
