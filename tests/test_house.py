"""The house rules: imports point downward, files stay small, README commands are ones that tests run."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {"workspace": 1, "models": 2, "pipelines": 3, "agents": 4, "training": 4, "studio": 5, "ui": 6}
# Import name -> distribution, where they differ.
DISTRIBUTION = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "huggingface_hub": "huggingface-hub",
    "langchain_core": "langchain-core",
    "langchain_openai": "langchain-openai",
    "openai": "langchain-openai",
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
HEAVY = {"torch", "transformers", "diffusers", "peft", "gradio", "langgraph", "langchain_openai", "accelerate", "scipy"}
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, *, top_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; the import path is the file path"
            assert node.module
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    return {re.split(r"[\[<>=!~ ]", item, maxsplit=1)[0].lower() for item in wanted}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    declared = _declared()
    for name in _imports(path):
        top = name.partition(".")[0]
        if top in FLOORS:
            allowed = top == own or FLOORS[top] < FLOORS[own]
            assert allowed, f"{path.relative_to(ROOT)} ({own}) imports {name}: an arrow that runs up or sideways"
        elif top not in sys.stdlib_module_names:
            assert DISTRIBUTION.get(top, top).lower() in declared, f"{path}: {top} is not a declared dependency"


def test_no_import_circles() -> None:
    modules = {_module(path): path for path in SOURCES}
    graph = {
        name: {target for target in _imports(path, top_only=True) if target in modules and target != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


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
    assert set(project["tool"]["setuptools"]["packages"]) == set(FLOORS)
    for folder in ROOT.iterdir():
        if (folder / "__init__.py").exists():
            assert folder.name in FLOORS, f"{folder.name} is importable but is no floor"


def test_no_package_has_an_unbounded_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [item for extra in project["optional-dependencies"].values() for item in extra]
    for item in wanted:
        assert "==" in item or (">=" in item and "<" in item), f"{item} lacks a lower or an upper bound"


def test_the_readme_tree_names_every_folder() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for floor in FLOORS:
        assert f"{floor}/" in readme
    for path in SOURCES:
        if path.name != "__init__.py":
            assert path.name in readme, f"README's annotated tree does not name {path.relative_to(ROOT)}"
