"""Pages of the documentation, and their blocks of code."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
"""All pages, from the root."""

FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+) -->")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    language
        ``python``, ``bash``, ``yaml`` (a grid), ``text`` (output), or a directive of Sphinx in braces.
    not_run
        The reason why a test cannot run it, from a comment in the line before it: ``<!-- not run: REASON -->``.
    """

    page: str
    language: str
    text: str
    not_run: str | None

    @property
    def file(self) -> str:
        """The name in the first line of a grid."""
        match = re.match(r"# (\S+\.yaml)\n", self.text)
        assert match, f"{self.page}: the first line of a grid is a comment with the name of its file"
        return match[1]


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, in order."""
    found = []
    for match in FENCE.finditer("\n" + (ROOT / page).read_text()):
        reason = NOT_RUN.search(match["before"])
        text = textwrap.dedent(match["text"])
        found.append(Block(page, match["language"].strip(), text, reason and reason["reason"]))
    return [block for block in found if not languages or block.language in languages]


def runnable(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages that a test runs."""
    return [block for block in blocks(page, *languages) if block.not_run is None]


def shortened(code: str) -> str:
    """Code with one epoch for each training, and few levels for each grid."""
    code = re.sub(r'(training\.epochs"?[:=] ?)\d+', r"\g<1>1", code)
    code = code.replace("num: 17", "num: 5")
    return code.replace("range(5):", "range(2):")
