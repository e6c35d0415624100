"""LaTeX of the report's tables: pdflatex compiles all of them in one document with booktabs and siunitx."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PREAMBLE = r"""\documentclass{article}
\usepackage[paperwidth=150cm,paperheight=150cm,margin=1cm]{geometry}
\usepackage[T1]{fontenc}
\usepackage{booktabs,siunitx}
\begin{document}
"""


@pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="no pdflatex (Debian: apt-get install texlive-latex-extra texlive-science)",
)
def test_tables_compile(rendered: Path, tmp_path: Path):
    tables = sorted((rendered / "files").glob("*.tex"))
    assert len(tables) > 5
    inputs = "\n\\clearpage\n".join(f"\\input{{{path}}}" for path in tables)
    (tmp_path / "tables.tex").write_text(f"{PREAMBLE}{inputs}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert finished.returncode == 0, finished.stdout[-2000:]
    log = (tmp_path / "tables.log").read_text(errors="replace")
    for fault in ("Missing character", "undefined"):
        assert fault not in log
    assert (tmp_path / "tables.pdf").read_bytes().startswith(b"%PDF")
