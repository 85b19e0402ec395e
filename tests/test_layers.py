"""Who imports whom: lower layers never import higher ones, and `data` never imports torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "mynah"
LAYERS = {
    "errors": 0, "config": 0, "artifacts": 0, "device": 0, "samples": 0, "stages": 0,
    "data": 1, "tokenizer": 1,
    "ngram": 2, "model": 2, "retrieval": 2,
    "train": 3, "generate": 3, "plan": 3, "interop": 3,
    "tune": 4, "evaluate": 4,
    "answers": 5, "diagnose": 5, "explain": 5, "privacy": 5,
    "serve": 6,
    "report": 7, "pipeline": 8, "api": 9, "classifier": 9, "translator": 10, "chatbot": 10, "cli": 11, "__main__": 12,
}  # fmt: skip
#: Packages of one number that may import each other, with the reason.
WITHIN = {
    ("tokenizer", "data"),  # records are what is encoded
    ("plan", "train"),  # measured speed is the speed of the training loop itself
}


def module_of(path: str) -> str:
    """Return the dotted name of a file of the package."""
    return ".".join(["mynah", *Path(path).relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def place_of(name: str) -> Path:
    """Return where a package or module lies by its dotted name, a module without its ending."""
    return ROOT.joinpath(*name.split(".")[1:])


def imports() -> list[tuple[str, str, str]]:
    """Return (file, top-level package, imported module) for every import, deferred ones too."""
    found = []
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.name == "__main__.py":  # what `python -m` starts: a way in, not a part
            parts = ("__main__",)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{path}: relative import"
                names = [node.module]
                if node.module.split(".")[0] == "mynah" and place_of(node.module).is_dir():
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found += [(str(path), parts[0], name) for name in names]
    return found


def test_no_module_imports_a_higher_layer() -> None:
    for path, package, name in imports():
        if package == "__init__" or not name.startswith("mynah."):
            continue
        target = name.split(".")[1]
        if target == "__version__" or target == package:
            continue
        assert package in LAYERS, f"{package}: not in the table of layers"
        family = LAYERS[package] == LAYERS[target] == 0
        if family or (package, target) in WITHIN:
            continue
        assert LAYERS[target] < LAYERS[package], f"{path} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {module_of(path) for path, _, _ in imports()}
    graph: dict[str, set[str]] = {}
    for path, _, name in imports():
        if name in modules and name != "mynah":
            graph.setdefault(module_of(path), set()).add(name)
    assert len(graph) > 30
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def parts_of(package: str) -> dict[str, set[str]]:
    """Return which parts of a package import which others; a part is a folder of it, or a module that lies loose in it.

    An import inside a function counts as any other. What the package says of itself in `__init__` is no part.

    Args:
        package: a dotted name such as mynah or mynah.data.
    """
    graph: dict[str, set[str]] = {}
    for path, _, name in imports():
        both = module_of(path), name
        if path.endswith("__main__.py") or not all(dotted.startswith(f"{package}.") for dotted in both):
            continue
        part, target = (dotted.removeprefix(f"{package}.").split(".")[0] for dotted in both)
        if part != target and (is_loose(package, target) or place_of(f"{package}.{target}").is_dir()):
            graph.setdefault(part, set()).add(target)
    return graph


def is_loose(package: str, part: str) -> bool:
    """Whether a part of a package is a module of its own and no folder."""
    return place_of(f"{package}.{part}").with_suffix(".py").is_file()


def test_the_loose_modules_of_data_import_no_folder() -> None:
    for part, targets in parts_of("mynah.data").items():
        if is_loose("mynah.data", part):
            assert all(is_loose("mynah.data", target) for target in targets), f"{part} imports {targets}"


#: Packages that have folders and other parts beside, Mynah itself among them.
PACKAGES = sorted(
    package
    for package in {module_of(str(path)).rpartition(".")[0] for path in ROOT.rglob("*/__init__.py")}
    if len([part for part in place_of(package).iterdir() if not part.name.startswith("_")]) > 1
)


#: Those whose parts know nothing of each other.
APART = {"mynah.tune"}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_parts_of_a_package_do_not_import_each_other_in_a_circle(package: str) -> None:
    graph, circle = parts_of(package), ""
    assert len(graph) > 5 if package not in APART else not graph
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " imports ".join(reversed(error.args[1]))  # each part comes before those that import it
    assert not circle


def test_packages_with_folders_are_found() -> None:
    assert {"mynah", "mynah.data"} <= set(PACKAGES)


def test_data_and_tokenizer_do_not_import_torch() -> None:
    used = [(p, n) for p, package, n in imports() if package in ("data", "tokenizer")]
    assert used
    assert not [(p, n) for p, n in used if n.split(".")[0] == "torch"]


def test_files_are_of_readable_length() -> None:
    long = [p for p in ROOT.rglob("*.py") if len(p.read_text(encoding="utf-8").splitlines()) > 450]
    assert not long


def test_importing_training_leaves_logging_as_it_is() -> None:
    code = (
        "import logging; name = 'torch.distributed.tensor._redistribute'; before = logging.getLogger(name).level; "
        "import mynah.train.distributed.dtensors, mynah.train.loop; assert logging.getLogger(name).level == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
