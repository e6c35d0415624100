"""``walking-noise look``: midpoint noise levels of a trained network, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import nn


def look(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="as in model.name: my_package.module:build, or a name")],
    checkpoint: Annotated[Path, typer.Option(metavar="FILE", help="the trained weights, a state_dict saved by torch")],
    data: Annotated[str, typer.Option(metavar="NAME", help="data set, as in data.name")],
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="as in model.batch_norm")] = False,
    transform: Annotated[str, typer.Option(metavar="NAME", help="as in data.transform")] = "",
    points: Annotated[str, typer.Option(metavar="SELECTION", help="as in model.points; default: products")] = "",
    kind: Annotated[str, typer.Option(metavar="KIND", help="kind of noise with one level; default: additive")] = "",
    samples: Annotated[int, typer.Option(metavar="N", min=100, help="number of validation samples")] = 2000,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="folder of the table (CSV) and the figure; default: look")
    ] = None,
) -> None:
    """Measure how much noise each layer of a trained network tolerates, in minutes and without training.

    Noise is injected at one point at a time, at inference. Intervals are over noise and samples of this one network.

    Example: walking-noise look nets:build --checkpoint w.pt --data cifar10
    """
    import torch

    from analysis.figures.look import draw_look
    from analysis.midpoints.trained_network import look
    from experiments.terminal.progress_line import ProgressLine
    from experiments.terminal.text_table import show
    from walking_noise import RunConfig
    from walking_noise.data import load
    from walking_noise.models import PRODUCTS

    kind, out = kind or "additive", out or Path("look")
    settings = {"model.name": model, "data.name": data, "model.batch_norm": batch_norm, "data.transform": transform}
    config = RunConfig.from_dict({name: value for name, value in settings.items() if value})
    network = _network(config, checkpoint)
    loaded = load(data, config.data.transform)
    chosen = torch.randperm(len(loaded.validation_labels), generator=torch.Generator().manual_seed(0))[:samples]
    x, labels = loaded.transform.validation_inputs(loaded.validation_samples[chosen]), loaded.validation_labels[chosen]
    line = ProgressLine()
    table = look(
        network,
        [(x, labels)],
        points=points or PRODUCTS,
        kind=kind,
        samples=samples,
        chance_accuracy=loaded.chance_accuracy,
        progress=lambda done, total, name: line.show(f"{done} of {total} noise points: {name}"),
    )
    line.end()
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "look.csv", index=False)
    figure = draw_look(table, out / "look.png", kind)
    show(_text(table, kind))
    print(f"table: {out / 'look.csv'}, figure: {figure}")


def _network(config: Any, checkpoint: Path) -> nn.Module:
    """The network with the weights of the checkpoint; raise :class:`UserError` if they do not fit."""
    import torch

    from experiments.errors import UserError
    from walking_noise import models
    from walking_noise.errors import reason

    network = models.plain(config.architecture)
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{checkpoint}: cannot be read as saved weights ({reason(error)[:200]})") from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if isinstance(state, dict):
        state = {str(name).removeprefix("module."): value for name, value in state.items()}  # of DataParallel
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        fault = f"the weights do not fit {config.model.name} ({reason(error)[:300]})"
        advice = "give a state_dict, or a dict with it as state_dict, model_state_dict or model"
        if not config.model.batch_norm and isinstance(state, dict) and any("running_mean" in name for name in state):
            advice = "the checkpoint has BatchNorm layers: add --batch-norm"
        raise UserError(f"{checkpoint}: {fault}; {advice}") from None
    return network


def _text(table: Any, kind: str) -> list[Any]:
    """The table, the weakest point first, and a line on what was measured."""
    from experiments.terminal.text_table import table as text_table
    from walking_noise.noise import noise_kinds

    attrs = table.attrs
    relative = ["μ / rms"] if noise_kinds()[kind].adds else []
    remark = ["remark"] if table["flag"].any() else []
    head = ["noise point", "μ", "1 % loss", "5 % loss", *relative, *remark]
    rows = []
    for _, row in table.sort_values("mu").iterrows():
        losses = (_estimate(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in ("loss_1", "loss_5"))
        numbers = [_estimate(row.mu, row.low, row.high), *losses]
        if relative:
            numbers.append(f"{row.mu_relative:.3g}" if numbers[0] else "")
        rows.append([row.point, *numbers, *([row.flag] if remark else [])])
    about = (
        f"{attrs['accuracy']:.1%} of {attrs['samples']} samples are correct without noise, "
        f"{attrs['chance_accuracy']:.1%} by a constant answer. The weakest point is first. Intervals are over noise "
        "draws and validation samples of this one network, not over trainings; a number without one is left out."
    )
    return [text_table(head, rows, left=1), about]


def _estimate(value: float, low: float, high: float) -> str:
    """An estimate with its interval; empty without one, as if an end of it lies beyond the sampled levels."""
    return "" if not low <= value <= high else f"{value:.3g} [{low:.3g}, {high:.3g}]"
