"""``walking-noise data``: lists, downloads and checks data sets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``data`` and its actions."""
    summary = "List, download or check data sets."
    data = commands.add_parser("data", help=summary, description=summary)
    actions = data.add_subparsers(metavar="ACTION", required=True)
    for name, run, text in (
        ("list", _list, "List all data sets and whether they are present."),
        ("get", _get, "Download data sets."),
        ("check", _check, "Read data sets and compare their checksums."),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if run is not _list:
            action.add_argument("names", metavar="NAME", nargs="+", help="name of a data set, as in data.name")
        root = "folder of all data sets; default: $WALKING_NOISE_DATA, or a folder in the cache of the user"
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
