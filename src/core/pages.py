"""Templates of pages: a frame that asks nothing of others, its style, and how they are filled."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def templates(folder: Path) -> Environment:
    """Return the templates of ``folder`` beside those shared by all; HTML is escaped.

    ``base.html.j2`` is the frame of a page.
    """
    made = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent / "templates"]),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["markdown"] = markdown
    return made


def markdown(text: str) -> str:
    """Return text as one line of Markdown that ends no cell of a table and opens no tag.

    Names of folders and images are anybody's.
    """
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
