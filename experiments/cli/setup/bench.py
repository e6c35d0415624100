"""``walking-noise bench``: measures the speed of this device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.errors import UserError


def bench(
    more: Annotated[list[str] | None, typer.Argument(metavar="MODEL", hidden=True)] = None,
    models: Annotated[
        list[str] | None, typer.Option(metavar="MODEL...", help="models to measure, as in model.name; default: all")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="save the measurements for `walking-noise plan`")] = False,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="file for --save; default: a file in the cache of the user")
    ] = None,
) -> None:
    """Measure the speed at which this device trains and evaluates each kind of pack in the studies.

    Saved measurements of other devices and models are kept.

    Example: walking-noise bench --models mlp lenet5 --save
    """
    from experiments.benchmark.pack_rates import STUDIED, measure_device
    from experiments.plan import throughput
    from experiments.terminal.output_file import check_writable
    from experiments.worker.worker_options import WorkerOptions
    from walking_noise.runtime.sizing.capacity import default_device

    models = [*(models or []), *(more or [])]
    known = sorted({model for _, model in STUDIED})
    for model in models:
        if model not in known:
            raise UserError(f"--models: {model!r} is refused; allowed: {', '.join(known)}")
    if file is not None and not save:
        raise UserError("--file has no effect without --save")
    file = file or throughput.default_file()
    if save:
        throughput.read(file)  # report an unusable file now, not after minutes
        check_writable(file)
    device = WorkerOptions.from_environment().device or default_device()
    measured = measure_device(device, models or known)
    if save:
        throughput.save(file, measured)
        print(f"saved to {file}")
