"""Examples of the documentation: they run as they are printed, with fewer steps of training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from walking_noise import data
from walking_noise.data import DataSet

DOCS = Path(__file__).parents[1] / "docs"


def examples(page: str) -> list[str]:
    """The blocks of Python code of a page, in order; blocks of shell commands begin with a dollar sign."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (DOCS / page).read_text(), re.MULTILINE)
    code = ["\n".join(line[4:] for line in block.strip("\n").split("\n")) for block in blocks]
    return [block for block in code if block.strip() and not block.lstrip().startswith("$")]


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the digits."""
    load = data.load

    def load_part(*selection: str, **settings: object) -> DataSet:
        whole = load(*selection, **settings)  # type: ignore[arg-type]
        return DataSet(**{
            **{name: getattr(whole, name) for name in whole.__dataclass_fields__},
            "train_samples": whole.train_samples[:500].clone(), "train_labels": whole.train_labels[:500].clone(),
            "validation_samples": whole.validation_samples[:300].clone(),
            "validation_labels": whole.validation_labels[:300].clone(),
        })  # fmt: skip

    monkeypatch.setattr(data, "load", load_part)


@pytest.mark.usefixtures("few_digits", "forked_pool")
def test_weights_and_executions(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    blocks = examples("weights_and_executions.md")
    assert len(blocks) == 5
    for number, block in enumerate(blocks):
        exec(compile(block, f"example {number}", "exec"), names)
        assert capsys.readouterr().out.count("\n") >= 2
