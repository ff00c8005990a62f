"""No code of ours runs what a file or a user says: read from the source, not from promises."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.core.paths import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))

FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp"),
    *("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "torch.jit.load"),
    *("joblib.load", "torch.hub.load"),
}
REQUIRED_WORDS = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
FORBIDDEN_MODULES = {"dill", "cPickle", "shelve", "marshal", "xmlrpc", "telnetlib"}
PICKLE_NAMES = {"UnpicklingError"}
"""What may be named of pickle: an error that torch raises."""


def faults(source: str) -> Iterator[str]:
    """Yield what is wrong with a file's text, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from _faults_of_call(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            bad = {module.partition(".")[0] for module in modules} & FORBIDDEN_MODULES
            if bad or (isinstance(node, ast.ImportFrom) and node.module == "pickle"):
                yield f"line {node.lineno}: imports {ast.unparse(node)}"
        elif isinstance(node, ast.Attribute) and _is_pickle(node):
            yield f"line {node.lineno}: uses pickle.{node.attr}"


def _is_pickle(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) == "pickle" and node.attr not in PICKLE_NAMES


def _faults_of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    words = {word.arg: word.value for word in node.keywords}
    if name in FORBIDDEN_CALLS:
        yield f"line {node.lineno}: calls {name}"
    if name in REQUIRED_WORDS:
        key, needed = REQUIRED_WORDS[name]
        value = words.get(key)
        if not (isinstance(value, ast.Constant) and value.value is needed):
            yield f"line {node.lineno}: {name} without {key}={needed}"
    shell = words.get("shell")
    if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
        yield f"line {node.lineno}: {name} through a shell"
    if name.endswith(".extractall") and "filter" not in words:
        yield f"line {node.lineno}: {name} without a filter"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_runs_what_a_file_or_a_user_says(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "pickle.loads(content)",
        "from pickle import loads",
        "import dill",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run(command, shell=True)",
        "archive.extractall(folder)",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert len(list(faults(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, mmap_mode='r', allow_pickle=False)",
        "yaml.safe_load(text)",
        "except_type = pickle.UnpicklingError",
        "net.eval()",
        "re.compile(pattern)",
        "torch.compile(net)",
    ],
)
def test_what_is_harmless_is_not(source: str) -> None:
    assert list(faults(source)) == []


def test_the_source_files_are_found() -> None:
    assert len(SOURCES) > 50
