"""``walking-noise points``: lists the noise points of a model."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def points(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="as in model.name: a name, or my_package.module:build")],
    data: Annotated[
        str, typer.Option(metavar="NAME", help="data set that gives shape and classes, as in data.name")
    ] = "",
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="as in model.batch_norm")] = False,
    selected: Annotated[
        str,
        typer.Option(
            "--points",
            metavar="SELECTION",
            help="as in model.points: products, modules, a pattern; each also with +residual",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print them as JSON")] = False,
) -> None:
    """List the noise points of a model: number, name, shape of a sample there, and facts on the layer before.

    Example: walking-noise points lenet5 --data cifar10
    """
    import json

    from experiments.terminal.text_table import show, table
    from walking_noise import RunConfig, models

    settings = {"model.name": model, "data.name": data, "model.batch_norm": batch_norm, "model.points": selected}
    config = RunConfig.from_dict({name: value for name, value in settings.items() if value})
    summary = models.summary(config.architecture)
    rows = [
        {
            "number": point.number,
            "name": point.name,
            "shape": list(shape),
            "layer": point.layer,
            "parameters": point.parameters,
            "multiply_accumulates": point.multiply_accumulates,
            "after_batch_norm": point.after_batch_norm,
            "residual_from": point.residual_from,
        }
        for point, shape in zip(summary.points, summary.shapes, strict=True)
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    head = ("number", "name", "shape", "layer", "parameters", "multiply-accumulates", "residual path from")
    show([table(head, map(_cells, rows), left=4)])


def _cells(row: dict[str, Any]) -> list[str]:
    shape = "×".join(map(str, row["shape"]))
    sizes = (f"{row[name]:,}" if row[name] else "" for name in ("parameters", "multiply_accumulates"))
    begin = "" if row["residual_from"] is None else str(row["residual_from"])
    return [str(row["number"]), row["name"], shape, row["layer"] or "", *sizes, begin]
