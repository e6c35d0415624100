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
    grid: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="SEML file or folder whose packs are measured instead")
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="save the measurements for `walking-noise plan` and for workers")
    ] = False,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="file for --save; default: a file in the cache of the user")
    ] = None,
) -> None:
    """Measure the speed at which this device trains and evaluates each kind of pack in the studies.

    On a GPU the alternatives for each layer are measured first. Workers use
    the fastest ones that are saved in the default file.

    Saved measurements of other devices and models are kept.

    Example: walking-noise bench --models mlp lenet5 --save
    """
    from experiments.benchmark import layer_rates, pack_rates
    from experiments.plan import throughput
    from experiments.plan.grid_files import find
    from experiments.plan.study_plan import count, plan
    from experiments.terminal.output_file import check_writable
    from experiments.worker.worker_options import WorkerOptions
    from walking_noise.runtime.sizing import capacity

    models = [*(models or []), *(more or [])]
    known = sorted({model for _, model in pack_rates.STUDIED})
    for model in models:
        if model not in known:
            raise UserError(f"--models: {model!r} is refused; allowed: {', '.join(known)}")
    if models and grid:
        raise UserError("--models and --grid are refused together: a grid names its models")
    if file is not None and not save:
        raise UserError("--file has no effect without --save")
    file = file or throughput.default_file()
    if save:
        throughput.read(file)  # report an unusable file now, not after minutes
        check_writable(file)
    configs = pack_rates.studied(models or known)
    if grid:
        counts, errors = count(find(grid))
        if errors:
            raise UserError(str(errors[0]))
        configs = pack_rates.planned(demand.config for demand in plan(counts, None)[-1].demands)
    device = WorkerOptions.from_environment().device or capacity.default_device()
    if device.type == "cuda":
        layers = layer_rates.measure_layers(device, configs)
        if save:
            name, processes = pack_rates.device_in_words(device), capacity.worker_processes(device)
            throughput.save(file, throughput.Device(name, processes, (), layers))
    measured = pack_rates.measure_device(device, configs)
    if save:
        throughput.save(file, measured)
        print(f"saved to {file}")
