"""LaTeX of the report's tables: pdflatex compiles all of them in one document with booktabs and siunitx."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

PREAMBLE = r"""\documentclass{article}
\usepackage[paperwidth=150cm,paperheight=150cm,margin=1cm]{geometry}
\usepackage[T1]{fontenc}
\usepackage{booktabs,longtable,siunitx}
\begin{document}
"""

PAGE = r"""\documentclass[a4paper]{article}
\usepackage[margin=2.5cm]{geometry}
\usepackage[T1]{fontenc}
\usepackage{booktabs,longtable}
\begin{document}
"""

CLAIMS = ("claims.tex", "claims_cases.tex")

needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="no pdflatex (Debian: apt-get install texlive-latex-extra texlive-science)",
)


@needs_latex
def test_tables_compile(rendered: Path, tmp_path: Path):
    tables = sorted((rendered / "files").glob("*.tex"))
    assert len(tables) > 5
    log = compiled(PREAMBLE, tables, tmp_path)
    for fault in ("Missing character", "undefined"):
        assert fault not in log


@needs_latex
def test_tables_of_claims_fit_a_page(rendered: Path, tmp_path: Path):
    log = compiled(PAGE, [rendered / "files" / name for name in CLAIMS], tmp_path)
    assert [line for line in log.splitlines() if line.startswith("Overfull")] == []


def compiled(preamble: str, tables: Sequence[Path], folder: Path) -> str:
    """The log of pdflatex for a document with these tables."""
    inputs = "\n\\clearpage\n".join(f"\\input{{{path}}}" for path in tables)
    (folder / "tables.tex").write_text(f"{preamble}{inputs}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert finished.returncode == 0, finished.stdout[-2000:]
    assert (folder / "tables.pdf").read_bytes().startswith(b"%PDF")
    return (folder / "tables.log").read_text(errors="replace")
