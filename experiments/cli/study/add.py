"""``walking-noise add``: adds the runs of grids to a collection, without the secrets of the shell."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.cli.arguments import PassedOption, dictionary


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``add``."""
    text = "Add the runs of grids to a collection, without the secrets of this shell."
    add = commands.add_parser(
        "add",
        help=text,
        description=f"{text} Calls `seml COLLECTION add` with only those environment variables that jobs need, because "
        "SEML stores every variable of its environment in each run's document.",
        allow_abbrev=False,
    )
    add.add_argument("collection", metavar="COLLECTION", help="name of the SEML collection")
    add.add_argument(
        "files", metavar="FILE", nargs="+", help="SEML files, folders of SEML files, or patterns such as **/*.yaml"
    )
    keep = "also pass this environment variable, like those named in $WALKING_NOISE_KEEP; can be repeated"
    add.add_argument("--keep", metavar="NAME", action="append", default=[], help=keep)
    seml_options = add.add_argument_group("SEML options", "see `seml COLLECTION add --help`")
    for flags in (("-nh", "--no-hash"), ("-ncs", "--no-sanity-check"), ("-ncc", "--no-code-checkpoint")):
        seml_options.add_argument(*flags, action=PassedOption, nargs=0)
    seml_options.add_argument("-f", "--force", action=PassedOption, nargs=0)
    seml_options.add_argument("-o", "--overwrite-params", metavar="DICT", type=dictionary)
    seml_options.add_argument("-d", "--description", metavar="TEXT", action=PassedOption)
    seml_options.add_argument("--no-resolve-descriptions", action=PassedOption, nargs=0)
    add.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.submit.add_runs import add
    from experiments.terminal.text_table import runs_in_words

    added = add(options.collection, options.files, options.keep, options.overwrite_params, options.passed_on)
    present = f" ({added.planned - added.runs:,} already present)" if added.runs < added.planned else ""
    print(
        f"{runs_in_words(added.runs)} added to {options.collection}{present}; environment variables of this shell: "
        f"{added.passed_on} passed to SEML, {added.left_out} left out"
    )
    return 0
