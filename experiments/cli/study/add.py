"""``walking-noise add``: the runs of grids, without the secrets of the shell."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.cli.arguments import PassedOption, dictionary


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``add``."""
    text = "add the runs of grids to a collection: `seml COLLECTION add`, which sees only what jobs need of this shell"
    add = commands.add_parser("add", help=text, description=text, allow_abbrev=False)
    add.add_argument("collection", metavar="COLLECTION")
    add.add_argument("files", metavar="FILE", nargs="+", help="SEML files, folders of them, or patterns as **/*.yaml")
    keep = "let one more variable through, as those that $WALKING_NOISE_KEEP names; may be repeated"
    add.add_argument("--keep", metavar="NAME", action="append", default=[], help=keep)
    of_seml = add.add_argument_group("options of seml", "as `seml COLLECTION add --help` says")
    for flags in (("-nh", "--no-hash"), ("-ncs", "--no-sanity-check"), ("-ncc", "--no-code-checkpoint")):
        of_seml.add_argument(*flags, action=PassedOption, nargs=0)
    of_seml.add_argument("-f", "--force", action=PassedOption, nargs=0)
    of_seml.add_argument("-o", "--overwrite-params", metavar="DICT", type=dictionary)
    of_seml.add_argument("-d", "--description", metavar="TEXT", action=PassedOption)
    of_seml.add_argument("--no-resolve-descriptions", action=PassedOption, nargs=0)
    add.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.submit.add_runs import add

    added = add(options.collection, options.files, options.keep, options.overwrite_params, options.passed_on)
    known = f", {added.planned - added.runs:,} were there already" if added.runs < added.planned else ""
    print(
        f"{added.runs:,} runs added to {options.collection}{known}; of this shell's variables {added.passed_on} went "
        f"with them and {added.left_out} did not"
    )
    return 0
