"""``walking-noise bench``: packs against the usual ways of training, and how fast this device trains."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``bench``."""
    text = (
        "measure how much faster this device trains packs than one run at a time, and how fast it trains and "
        "evaluates each kind of pack that the studies have"
    )
    bench = commands.add_parser("bench", help=text, description=text)
    bench.add_argument("--models", metavar="MODEL", nargs="+", help="only these, as in model.name; default: all")
    kept = "keep the measurements for `walking-noise plan`, beside those of other devices and models"
    bench.add_argument("--save", action="store_true", help=kept)
    bench.add_argument("--file", metavar="FILE", type=Path, help="where to keep them; default: in the user's cache")
    bench.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.benchmark import benchmark
    from experiments.benchmark.pack_rates import STUDIED, measured_device
    from experiments.benchmark.peers.record import rounds_file
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
        throughput.read(file)  # refused now, not after minutes
        check_writable(file)
    device = WorkerOptions.from_environment().device or default_device()
    models = options.models or known
    record = benchmark.against_peers(device, models)
    rates = benchmark.rates_by_kind(device, models)
    if options.save:
        throughput.save(file, measured_device(device, rates))
        record.save(rounds_file(file))
        print(f"kept in {file} and {rounds_file(file)}")
    return 0
