"""``walking-noise data``: the data sets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``data`` and what can be done with it."""
    data = commands.add_parser("data", help="the data sets: which are here, get them, check them")
    actions = data.add_subparsers(metavar="ACTION", required=True)
    for name, run, text in (
        ("list", _list, "say which data sets are here"),
        ("get", _get, "download data sets"),
        ("check", _check, "read data sets and compare their checksums"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if run is not _list:
            action.add_argument("names", metavar="NAME", nargs="+", help="as in data.name")
        root = "folder of all data sets; default: $WALKING_NOISE_DATA, else in the user's cache"
        action.add_argument("--root", type=Path, help=root)
        action.set_defaults(run=run)


def _list(options: Namespace) -> int:
    from walking_noise import data

    for name in data.sources():
        print(data.status(name, options.root))
    return 0


def _get(options: Namespace) -> int:
    from walking_noise import WalkingNoiseError, data

    try:
        for name in options.names:
            print(f"{name}: in {data.fetch(name, options.root)}")
    except WalkingNoiseError as error:
        raise UserError(str(error)) from error
    return 0


def _check(options: Namespace) -> int:
    from walking_noise import WalkingNoiseError, data

    try:
        for name in options.names:
            dataset = data.load(name, root=options.root)
            extent = data.status(name, options.root).extent or "intact"
            samples = f"{len(dataset.train_labels)} + {len(dataset.validation_labels)} samples"
            print(f"{name}: {extent}, {samples}, checksum {dataset.checksum}")
    except WalkingNoiseError as error:
        raise UserError(str(error)) from error
    return 0
