"""Fills the templates of this package; HTML is escaped, LaTeX is escaped where text goes in."""

from pathlib import Path
from typing import Any

from src.commands.report.published import Paper, missing
from src.commands.report.tables import SET_NAMES, datasets_of, lines_of
from src.core.pages import templates

_TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "σ": r"$\sigma$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
}


def render_tables(paper: Paper, kind: str) -> str:
    """Return the tables of ``paper`` as Markdown (``md``), LaTeX (``tex``) or ``html``."""
    return render(
        f"table.{kind}",
        paper=paper,
        names=SET_NAMES,
        missing=list(missing(paper)),
        tables=[(table, datasets_of(table), lines_of(table)) for table in paper.tables],
    )


def render(template: str, **values: Any) -> str:  # noqa: ANN401
    """Return ``templates/<template>.j2`` filled with ``values``, with one newline at the end."""
    environment = templates(Path(__file__).parent / "templates")
    environment.filters["tex"] = tex
    return environment.get_template(f"{template}.j2").render(**values).strip() + "\n"


def tex(text: str) -> str:
    """Return ``text`` with LaTeX's own signs escaped."""
    return "".join(_TEX.get(sign, sign) for sign in text)
