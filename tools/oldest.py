"""The oldest versions that pyproject.toml allows, a requirement a line: `python -m tools.oldest`.

`make test-oldest` installs them. Extras named as arguments are added; a requirement without a lower
bound stays as it is.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement

from src.core.paths import ROOT

OWN = "exemplar"


def oldest(text: str) -> str:
    """Return a requirement with its lower bound as the only version allowed."""
    requirement = Requirement(text)
    bounds = [spec.version for spec in requirement.specifier if spec.operator in {">=", "=="}]
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}=={bounds[0]}{marker}" if bounds else text


def declared(texts: Sequence[str], extras: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield requirements at their oldest; this project's own extras become what they contain."""
    for text in texts:
        requirement = Requirement(text)
        if requirement.name == OWN:
            inner = [line for extra in sorted(requirement.extras) for line in extras[extra]]
            yield from declared(inner, extras)
        else:
            yield oldest(text)


def main() -> None:
    """Print the core's requirements and those of the extras that are named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], f"{OWN}[{','.join(sys.argv[1:])}]"]
    for line in declared(asked, project["optional-dependencies"]):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
