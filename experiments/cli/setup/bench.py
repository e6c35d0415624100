"""``walking-noise bench``: measures the speed of this device."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``bench``."""
    text = "Measure the speed at which this device trains and evaluates each kind of pack in the studies."
    bench = commands.add_parser("bench", help=text, description=text)
    bench.add_argument("--models", metavar="MODEL", nargs="+", help="models to measure, as in model.name; default: all")
    save = "save the measurements for `walking-noise plan`; those of other devices and models are kept"
    bench.add_argument("--save", action="store_true", help=save)
    bench.add_argument(
        "--file", metavar="FILE", type=Path, help="file for --save; default: a file in the cache of the user"
    )
    bench.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.benchmark.pack_rates import STUDIED, measure_device
    from experiments.plan import throughput
    from experiments.terminal.output_file import check_writable
    from experiments.worker.worker_options import WorkerOptions
    from walking_noise.runtime.sizing.capacity import default_device

    known = sorted({model for _, model in STUDIED})
    for model in options.models or ():
        if model not in known:
            raise UserError(f"--models: {model!r} is refused; allowed: {', '.join(known)}")
    if options.file is not None and not options.save:
        raise UserError("--file has no effect without --save")
    file = options.file or throughput.default_file()
    if options.save:
        throughput.read(file)  # report an unusable file now, not after minutes
        check_writable(file)
    device = WorkerOptions.from_environment().device or default_device()
    measured = measure_device(device, options.models or known)
    if options.save:
        throughput.save(file, measured)
        print(f"saved to {file}")
    return 0
