"""``walking-noise data``: lists, downloads and checks data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="data", help="List, download or check data sets.")

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="names of data sets, as in data.name")]
Root = Annotated[
    Path | None,
    typer.Option(help="folder of all data sets; default: $WALKING_NOISE_DATA, or a folder in the cache of the user"),
]


@app.command("list")
def list_all(root: Root = None) -> None:
    """List all data sets and whether they are present.

    Example: walking-noise data list
    """
    from walking_noise import data

    for name in data.sources():
        print(data.status(name, root))


@app.command()
def get(names: Names, root: Root = None) -> None:
    """Download data sets.

    Example: walking-noise data get mnist cifar10
    """
    from walking_noise import data

    for name in names:
        print(f"{name}: in {data.fetch(name, root)}")


@app.command()
def check(names: Names, root: Root = None) -> None:
    """Read data sets and compare their checksums.

    Example: walking-noise data check mnist
    """
    from walking_noise import data

    for name in names:
        dataset = data.load(name, root=root)
        extent = data.status(name, root).extent or "intact"
        samples = f"{len(dataset.train_labels)} + {len(dataset.validation_labels)} samples"
        print(f"{name}: {extent}, {samples}, checksum {dataset.checksum}")
