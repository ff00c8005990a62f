"""Builds the documentation as a site: ``make docs``, or ``python -m tools.site [folder]``.

Pages are gathered in <folder>/pages as they lie in the repository, so that their links keep their
meaning; those of the API and of the catalogue are written from docstrings, registries and records.
zensical makes <folder>/html of them. Nothing is asked of the network. What a build replaces is
what an earlier one made: a mark is in its folder.
"""

import csv
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from src.app.config.options import options_of
from src.commands.catalog.command import first_sentences, known_kinds, sizes_of
from src.commands.report.records import open_records
from src.core.paths import CONF_DIR, ROOT

GATHERED = ("*.md", "docs/**/*.*", *(f"experiments/**/*.{kind}" for kind in ("md", "svg", "html")))
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")
DEFAULT = ROOT / ".cache/site"
MARK = ".made-by-tools-site"
SECTIONS = {
    "Tutorials": "docs/tutorials/*.md",
    "How to": "docs/how-to/*.md",
    "Catalogue": "catalogue/*.md",
    "Python": "api/*.md",
    "Experiments": "experiments/**/*.md",
    "Explanation": "docs/explanation/*.md",
    "Words": "docs/*.md",
    "Decisions": "docs/decisions/*.md",
    "Project": "*.md",
}
"""The order of the navigation: what a folder has is in it."""

API = {
    "python": ("Load and restore", "src/app/python.py"),
    "attention": ("Attention blocks", "src/models/attention/*.py"),
    "backbones": ("Networks", "src/models/backbones/*.py"),
    "ops": ("Operators", "src/ops/attention/*.py", "src/ops/*.py"),
    "tasks": ("Tasks", "src/training/tasks/*.py"),
    "degradations": ("Degradations", "src/degradations/*.py"),
    "data": ("Data sets", "src/data/datasets/*.py", "src/data/patches.py"),
    "optim": ("Optimisers and schedules", "src/optim/*.py"),
    "losses": ("Losses", "src/losses/*.py"),
    "metrics": ("Metrics", "src/metrics/*.py"),
}
"""The public surface; everything else may change without a word."""


def main() -> int:
    """Write the pages, build the site, and return the exit status of the build."""
    began = time.monotonic()
    site = Path(sys.argv[1] if sys.argv[1:] else DEFAULT).resolve()
    if not cleared(site):
        sys.stderr.write(f"{site} has files that no build made; name another folder.\n")
        return 2
    pages = site / "pages"
    gather(pages)
    write_api(pages / "api")
    write_catalogue(pages / "catalogue")
    write_benchmarks(pages / "experiments/benchmarks/records.md")
    settings = yaml.safe_load((ROOT / "docs/site.yml").read_text(encoding="utf-8"))
    settings["plugins"]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    settings["nav"] = navigation(pages)
    (site / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    words = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    status = subprocess.run([*words, "-f", str(site / "mkdocs.yml")], check=False).returncode
    if status == 0:
        html = site / "html"
        count, seconds = len([*html.rglob("*.html")]), time.monotonic() - began
        serve = f"python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(html))}"
        sys.stdout.write(f"{count} pages in {seconds:.0f} s: {html}/index.html; or, with search,\n")
        sys.stdout.write(f"  {serve}\n")
    return status


def cleared(site: Path) -> bool:
    """Remove what an earlier build left in a folder, and say whether the folder may be used.

    It may if it is empty, missing, the usual one, or has the mark of a build.
    """
    ours = site == DEFAULT or (site / MARK).is_file()
    if not ours and site.exists() and (not site.is_dir() or any(site.iterdir())):
        return False
    for folder in (site / "pages", site / "html"):
        shutil.rmtree(folder, ignore_errors=True)
    site.mkdir(parents=True, exist_ok=True)
    (site / MARK).write_text("Made by python -m tools.site, which replaces pages/ and html/.\n")
    return True


def gather(pages: Path) -> None:
    """Copy what there is to ``pages``; source files that are linked become pages that show them."""
    files = sorted({file for pattern in GATHERED for file in ROOT.glob(pattern)})
    for file in files:
        copy = pages / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            copy.write_text(_with_sources(file, files, pages), encoding="utf-8")
        else:
            shutil.copyfile(file, copy)


def _with_sources(page: Path, gathered: Sequence[Path], pages: Path) -> str:
    def linked(match: re.Match[str]) -> str:
        file = (page.parent / match[1]).resolve()
        if file.is_dir():
            return f"{match[1]}{min(file.glob('*.md')).name}"
        if file in gathered or not file.exists():  # the build names what is not there
            return match[1]
        copy = pages / f"{file.relative_to(ROOT)}.md"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shown = f"# {file.name}\n\n````{file.suffix[1:]}\n{file.read_text('utf-8')}\n````\n"
        copy.write_text(f"---\nsearch:\n  exclude: true\n---\n{shown}", encoding="utf-8")
        return f"{match[1]}.md"

    # "[a][b]" is text in our records, and would be taken for a reference
    return LINK.sub(linked, page.read_text(encoding="utf-8").replace("][", "]\\["))


def write_api(folder: Path) -> None:
    """Write one page a package of the public surface: its docstrings, module by module."""
    folder.mkdir(parents=True)
    for name, (heading, *patterns) in API.items():
        files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]
        modules = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
        text = "\n\n".join(f"::: {module.removesuffix('.__init__')}" for module in modules)
        (folder / f"{name}.md").write_text(f"# {heading}\n\n{text}\n", encoding="utf-8")


def write_catalogue(folder: Path) -> None:
    """Write one page a kind of option: what conf/ has, what it builds, what was measured."""
    folder.mkdir(parents=True)
    measured = {"model": list(_scores()), "model/attention": list(_comparison())}
    for kind, group in known_kinds().items():
        files = {name: CONF_DIR / group / f"{name}.yaml" for name in options_of(group)}
        sizes = sizes_of(group, list(files)) if group in measured else {}
        columns = ["option", "what", *(["parameters", "cost", "paper"] if sizes else [])]
        rows = [
            [f"[`{name}`](#{name.replace('/', '-')})", first_sentences(file), *sizes.get(name, ())]
            for name, file in files.items()
        ]
        text = [f"# {group}=…", table(columns, rows), *measured.get(group, ()), "## Settings"]
        text += [_settings(name, file) for name, file in files.items()]
        (folder / f"{kind}.md").write_text("\n\n".join(text), encoding="utf-8")


def _settings(name: str, file: Path) -> str:
    content = file.read_text(encoding="utf-8")
    text = f"### {name} {{#{name.replace('/', '-')}}}\n\n```yaml\n{content}```"
    target = re.search(r"^_target_: (src\.\S+)", content, re.MULTILINE)
    return f"{text}\n\nBuilds [`{target[1]}`][{target[1]}]." if target else text


def _comparison() -> Iterator[str]:
    """Yield a table a task of the comparison of attention blocks."""
    source = ROOT / "experiments/attention_comparison/cells.csv"
    lines = csv.DictReader(source.read_text(encoding="utf-8").splitlines())
    cells = sorted(lines, key=lambda cell: (cell["task"], cell["attention"]))
    for task in sorted({cell["task"] for cell in cells}):
        yield f"## Measured: {task}"
        yield "What it can and cannot say: [README](../experiments/attention_comparison/README.md)."
        names = [name for name in cells[0] if name not in {"cell", "task", "command"}]
        rows = [[cell[name] for name in names] for cell in cells if cell["task"] == task]
        yield table(names, rows)


def _scores() -> Iterator[str]:
    """Yield a table of all records of networks: scores, and what it took to get them."""
    yield "## Measured"
    yield "Command, commit and the rest of each record: `experiments/<record>/results.json`."
    columns = (
        "record, network, condition, protocol, images, PSNR, SSIM, parameters, seconds, MiB, on"
    )
    files = sorted(map(str, ROOT.glob("experiments/**/results.json")))
    rows: list[list[object]] = []
    for record in open_records([file for file in files if "/cells/" not in file]):
        network = record.content["model"]["_target_"].rpartition(".")[2]
        about = [record.folder.relative_to(ROOT / "experiments"), network, record.condition]
        took = record.content.get("took", {})
        keys = ("wall_seconds", "peak_memory_mib")
        cost = [record.content.get("parameters", ""), *(took.get(key, "") for key in keys)]
        cost.append(record.content["hardware"]["processor"])
        for name, board in record.benchmarks.items():
            scores = [board["mean"].get(metric, "") for metric in ("psnr", "ssim")]
            rows.append([*about, record.protocol, name, *scores, *cost])
    yield table(columns.split(", "), rows)
    yield "Networks with their authors' weights: [published](../experiments/published/table.md)."


def write_benchmarks(file: Path) -> None:
    """Write one page of all records of speed: rows, and the picture where there is one."""
    text = ["# Records of speed", "Machine, commit, settings: in the .json beside each .csv."]
    for source in sorted(ROOT.glob("experiments/benchmarks/*/*.csv")):
        name = source.relative_to(ROOT / "experiments/benchmarks").with_suffix("")
        columns, *rows = csv.reader(source.read_text(encoding="utf-8").splitlines())
        picture = source.with_suffix(".svg").is_file()
        text += [f"## {name}", f"![{name}]({name}.svg)" * picture, table(columns, rows)]
    file.write_text("\n\n".join(text), encoding="utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; numbers with four digits that count, whole ones with all."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    text = str(value).replace("|", "\\|")
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:,.0f}" if number.is_integer() or number > 1000 else f"{number:#.4g}"


def navigation(pages: Path) -> list[Any]:
    """Return the sections with their pages, those of the index in its order."""
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    first = [f"docs/{link}" for link in LINK.findall(index)]
    first += ["catalogue/model.md", "catalogue/attention.md", *(f"api/{name}.md" for name in API)]
    start = ["README.md", "docs/README.md"]
    sections: list[Any] = [{"Start": start}]
    for name, pattern in SECTIONS.items():
        found = sorted(str(file.relative_to(pages)) for file in pages.glob(pattern))
        found.sort(key=lambda page: first.index(page) if page in first else len(first))
        sections.append({name: [page for page in found if page not in start]})
    return sections


if __name__ == "__main__":
    sys.exit(main())
