"""The house rules: packages and rooms on their floors, imports only downward, small files, a light way in."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each room with its floor. A file imports from its own room and from rooms of lower floors; rooms of one floor do not
# know each other. A room of a package is a folder, or a file that is named here.
ROOMS: dict[str, tuple[int, ...]] = {
    "workspace": (1,),
    "models": (2, 0),
    "models.catalogue": (2, 1),
    "models.decoder": (2, 1),
    "models.encoders": (2, 1),
    "models.filling": (2, 2),
    "models.chat": (2, 3),
    "models.serving": (2, 4),
    "pipelines": (3, 0),
    "pipelines.corpus": (3, 1, 0),
    "pipelines.corpus.index": (3, 1, 1),
    "pipelines.pictures": (3, 1),
    "pipelines.fabrication": (3, 2),
    "agents": (4, 0),
    "agents.evidence": (4, 1),
    "agents.kit": (4, 2),
    "agents.roles": (4, 3),
    "agents.graph": (4, 4),
    "training": (5, 0),
    "training.loop": (5, 1),
    "training.sample": (5, 1),
    "training.folding": (5, 0),
    "training.gpus": (5, 1),
    "training.variants": (5, 1),
    "training.distil": (5, 1),
    "training.adapted": (5, 1),
    "training.evaluation": (5, 2, 0),
    "training.evaluation.statistics": (5, 2, 1),
    "training.evaluation.asking": (5, 2, 1),
    "training.evaluation.conversations": (5, 2, 2),
    "training.evaluation.reports": (5, 2, 3),
    "training.images": (5, 2),
    "training.embedded": (5, 2, 0),
    "training.embedded.microstructures": (5, 2, 1),
    "training.embedded.painter": (5, 2, 2),
    "training.embedded.judge": (5, 2, 2),
    "training.embedded.writer": (5, 2, 2),
    "training.embedded.critic": (5, 2, 3),
    "training.merging": (5, 3, 0),
    "training.merging.search": (5, 3, 1),
    "training.language": (5, 4),
    "training.launch": (5, 5),
    "training.demo": (5, 6),
    "training.synergy": (5, 7),
    "studio.queue": (6, 1),
    "studio.runs": (6, 2),
    "studio.batching": (6, 3),
    "studio": (6, 4),
    "ui": (7, 0),
    "ui.terminal": (7, 1),
    "ui.desk": (7, 1),
    "ui.web": (7, 2),
    "ui.pages": (7, 2),
    "ui.app": (7, 3),
    "ui.cli": (7, 4),
}
PACKAGES = sorted({name.partition(".")[0] for name in ROOMS})
ONLY = {"ui": ("ui", "studio", "workspace")}  # what a package may import of ours, where not all that lies below
MOST_MODULES = 15  # in a folder that has no rooms
# Import name -> distribution, where they differ.
DISTRIBUTION = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "Stemmer": "pystemmer",
    "skimage": "scikit-image",
    "huggingface_hub": "huggingface-hub",
    "langchain_core": "langchain-core",
    "pydantic_core": "pydantic",
    "pydantic_settings": "pydantic-settings",
    "tokenizers": "transformers",
    "uvicorn": "gradio",
    "fastapi": "gradio",
    "starlette": "gradio",
    "ormsgpack": "langgraph",
    "lm_eval": "lm-eval",
    "markdown_it": "markdown-it-py",
}
# Thin by nature: they may be needed at start-up. Everything else is imported where it is used.
HEAVY = {"torch", "transformers", "diffusers", "peft", "gradio", "langgraph", "accelerate", "scipy"}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in SOURCES}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path, *, top_only: bool = False) -> set[str]:
    """Every module that a file imports; lazy imports and those for type checkers too, unless ``top_only``."""
    tree = _tree(path)
    found: set[str] = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; the import path is the file path"
            assert node.module
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inner if name in MODULES} or {node.module}
            found |= set() if inner <= set(MODULES) else {node.module}
    return found


def room(module: str) -> str:
    """The innermost room that a module stands in."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next(name for name in names if name in ROOMS)


def _known(name: str) -> str:
    """The module of ours that an imported name belongs to."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    return {re.split(r"[\[<>=!~ ]", item, maxsplit=1)[0].lower() for item in wanted}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    own = room(_module(path))
    declared = _declared()
    for name in sorted(_imports(path)):
        top = name.partition(".")[0]
        if top in PACKAGES:
            other = room(_known(name))
            package = own.partition(".")[0]
            assert top in ONLY.get(package, PACKAGES), f"{path}: {package} does not import {top}"
            allowed = other == own or ROOMS[other] < ROOMS[own]
            assert allowed, f"{path.relative_to(ROOT)} ({own}) imports {name}: an arrow that runs up or sideways"
        elif top not in sys.stdlib_module_names:
            assert DISTRIBUTION.get(top, top).lower() in declared, f"{path}: {top} is not a declared dependency"


def test_only_the_making_of_the_embedded_models_knows_the_roles() -> None:
    for path in SOURCES:
        name = _module(path)
        if name.startswith("training") and not name.startswith("training.embedded"):
            assert not {item for item in _imports(path) if item.partition(".")[0] == "agents"}, f"{path} imports agents"
        if not name.startswith("training.embedded"):
            found = {item for item in _imports(path) if item.startswith("training.embedded")}
            assert not found, f"{path} imports {found}: the product does without what makes its weights"


def _graph() -> dict[str, set[str]]:
    known = set(MODULES)
    return {name: {_known(item) for item in _imports(path) if item.partition(".")[0] in PACKAGES} & known - {name}
            for name, path in MODULES.items()}  # fmt: skip


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """Some circle of a graph, empty if there is none."""
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name not in done:
            for target in sorted(graph.get(name, ())):
                if found := visit(target, (*trail, name)):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, ()))), [])


def test_no_circles_of_files() -> None:
    assert not _circle(_graph())


def test_no_circles_of_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for name, targets in _graph().items():
        rooms.setdefault(room(name), set()).update({room(target) for target in targets} - {room(name)})
    assert not _circle(rooms)


def test_a_circle_is_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert not _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_no_flat_folder_is_crowded() -> None:
    for folder in {path.parent for path in SOURCES}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MOST_MODULES, f"{folder.relative_to(ROOT)} has {len(modules)} modules"


def _paths(path: Path) -> list[Path]:
    """The paths that a file builds from where it stands itself."""
    places: dict[str, Any] = {"Path": Path, "__file__": str(path), "str": str}
    found: list[Path] = []

    def value(node: ast.AST) -> Path | None:
        names = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        if not names & (places.keys() - {"Path", "str"}) or not names <= places.keys():
            return None
        try:
            made = eval(compile(ast.Expression(node), "<path>", "eval"), {"__builtins__": {}}, dict(places))  # type: ignore[arg-type]
        except Exception:
            return None
        return made if isinstance(made, Path) else None

    for node in _tree(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and (made := value(node.value)):
            places[node.targets[0].id] = made
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.BinOp | ast.Call | ast.Attribute) and (made := value(node)):
            found.append(made)
    return found


def test_paths_that_a_file_builds_are_seen() -> None:
    assert ROOT / "workspace" / "profiles" in _paths(ROOT / "workspace" / "layers.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_opens_another_package_by_path(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    for place in _paths(path):
        if place.is_relative_to(ROOT) and (parts := place.relative_to(ROOT).parts):
            assert parts[0] == own or parts[0] not in PACKAGES, f"{path.relative_to(ROOT)} opens {place}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{path} is too long"
    assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is"
    assert path.name not in {"utils.py", "helpers.py", "common.py", "base.py", "core.py", "misc.py"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{path}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("name", ["ui.cli", "studio", "workspace.settings"])
def test_the_way_in_is_light(name: str) -> None:
    path = next(path for path in SOURCES if _module(path) == name)
    assert not {item.partition(".")[0] for item in _imports(path, top_only=True)} & HEAVY


def test_packages_are_listed_and_nothing_else_is_importable() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    from setuptools import find_packages

    wanted = project["tool"]["setuptools"]["packages"]["find"]
    found = set(find_packages(str(ROOT), wanted["exclude"], wanted["include"]))
    assert {name.partition(".")[0] for name in found} == set(PACKAGES)
    assert found == {_module(path) for path in SOURCES if path.name == "__init__.py"}
    assert {path.parent for path in SOURCES} == {ROOT / name.replace(".", "/") for name in found}
    for folder in ROOT.iterdir():
        if (folder / "__init__.py").exists():
            assert folder.name in PACKAGES, f"{folder.name} is importable but is no floor"


def test_no_package_has_an_unbounded_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    for item in wanted:
        assert "==" in item or (">=" in item and "<" in item), f"{item} lacks a lower or an upper bound"


def test_the_map_names_every_file_under_its_folder() -> None:
    """docs/house.md holds the annotated tree: a folder's line, then what is in it, two spaces deeper."""
    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    block = text.split("<!-- TREE -->")[1].split("```")[1]
    listed: list[str] = []
    trail: list[str] = []
    for line in block.splitlines()[1:]:
        found = re.fullmatch(r"((?:  )*)([*\w.-]+/?) +\S.*", line)
        assert found, f"{line!r} is no file or folder with what it is"
        trail[len(found[1]) // 2 :] = [found[2].rstrip("/")]
        listed.append("/".join(trail))
    ours = {str(path.relative_to(ROOT)) for path in SOURCES if path.name != "__init__.py"}
    assert sorted(ours - set(listed)) == [], "the map does not name these"
    assert sorted(name for name in listed if not any(ROOT.glob(name))) == [], "the map names what is not there"
    assert len(set(listed)) == len(listed), "the map names something twice"
