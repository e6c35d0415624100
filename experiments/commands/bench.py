"""``walking-noise bench``: how fast this device trains."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``bench``."""
    text = "measure how fast this device trains and evaluates each kind of pack that the studies have"
    bench = commands.add_parser("bench", help=text, description=text)
    bench.add_argument("--models", metavar="MODEL", nargs="+", help="only these, as in model.name; default: all")
    kept = "keep the measurements for `walking-noise plan`, beside those of other devices and models"
    bench.add_argument("--save", action="store_true", help=kept)
    bench.add_argument("--file", metavar="FILE", type=Path, help="where to keep them; default: in the user's cache")
    bench.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments import throughput
    from experiments.benchmark import STUDIED, device_in_words, measure, measured_device, studied
    from experiments.options import WorkerOptions
    from experiments.user_file import check_writable
    from walking_noise.capacity import default_device, lanes

    known = sorted({model for _, model in STUDIED})
    for model in options.models or ():
        if model not in known:
            raise UserError(
                f"--models: {model!r} is refused; allowed, as in experiments/benchmark.py: {', '.join(known)}"
            )
    if options.file is not None and not options.save:
        raise UserError("--file has no effect without --save")
    file = options.file or throughput.default_file()
    if options.save:
        throughput.read(file)  # refused now, not after minutes
        check_writable(file)
    device = WorkerOptions.from_environment().device or default_device()
    print(f"{device_in_words(device)}: {lanes(device)} packs side by side; per run, in packs of the default size:")
    rates = []
    for rate in measure(studied(options.models), device):
        rates.append(rate)
        step = f"step {rate.step_seconds * 1e6:9,.1f} µs ± {rate.spread / 2:3.0%}"
        steps = f"{lanes(device) / rate.step_seconds:9,.0f} run steps/s"
        sample = f"evaluation {rate.sample_seconds * 1e6:7,.2f} µs a sample"
        print(f"{rate.kind!s:50}  pack of {rate.pack_size:3}  {step}  {steps}  {sample}", flush=True)
    if options.save:
        throughput.save(file, measured_device(device, rates))
        print(f"kept in {file}")
    return 0
