"""The papers' tables go through LaTeX, and fit its page."""

import shutil
import subprocess
from pathlib import Path

import pytest

from src.commands.report.published import read_papers
from src.commands.report.tables import render_tables
from src.core.paths import ROOT

LATEX = shutil.which("pdflatex")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LATEX is None, reason="there is no pdflatex here"),
]
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,graphicx}
\begin{document}
\input{first}
\input{second}
\end{document}
"""


def test_the_tables_of_both_papers_compile_and_fit_the_page(tmp_path: Path) -> None:
    papers = read_papers(ROOT / "experiments", None)
    tables = [render_tables(paper, "tex") for paper in papers]
    assert len(tables) == 2
    for name, table in zip(("first", "second"), tables, strict=True):
        (tmp_path / f"{name}.tex").write_text(table, encoding="utf-8")
    (tmp_path / "document.tex").write_text(DOCUMENT, encoding="utf-8")
    command = [str(LATEX), "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "too large for page" not in done.stdout
