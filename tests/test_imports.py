"""Who may import whom: the layers of the house. CONTRIBUTING.md says the same in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "sizing": set[str](),
    "infra": {"sizing"},
    "serving": {"infra", "sizing"},
    "dashboards": {"infra", "serving", "sizing"},
    "policies": {"sizing"},
    "stacks": {"dashboards", "infra", "policies", "serving", "sizing"},
    "__main__": {"stacks"},
}
"""The product, and what each folder may import besides itself. Configuration is read in `stacks` alone, which
nothing below imports."""

BESIDE_THE_PRODUCT = {"local", "tests", "findings", "docs", "benchmarks", "packages"}
"""What only tries it out: nothing of the product imports these."""

EXCEPTIONS = {
    # What uses images and what judges them read one table, and names of images in one way. Both modules
    # import nothing of ours but sizing.
    ("policies", "serving.images.pinned"),
    ("policies", "serving.images.reference"),
}


def imported(source: str) -> Iterator[str]:
    """Every module that may be imported, wherever: inside of functions, for types only, by a name in text."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                if node.level == 1:  # beside this module, so in its own folder
                    continue
                assert node.level == 0, f"line {node.lineno}: name the whole module"
                # `from serving.images import pinned` imports a module, too.
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in (
                "import_module",
                "run_module",
                "__import__",
            ):
                module = node.args[0]
                start = module.values[0] if isinstance(module, ast.JoinedStr) else module
                assert isinstance(start, ast.Constant), f"line {node.lineno}: only its end may be a variable"
                yield str(start.value)
            case _:
                pass


def wrong(folder: str, source: str) -> set[str]:
    """The modules that a file of `folder` imports and may not."""
    refused = {*MAY_IMPORT, *BESIDE_THE_PRODUCT} - {folder} - MAY_IMPORT[folder]
    return {
        module
        for module in imported(source)
        if module.partition(".")[0] in refused
        and not {(folder, module), (folder, module.rpartition(".")[0])} & EXCEPTIONS
    }


def test_every_folder_imports_only_what_lies_below_it():
    folders = {path.name for path in ROOT.glob("[a-z]*") if any(path.rglob("*.py"))}
    assert folders <= {*MAY_IMPORT, *BESIDE_THE_PRODUCT}, "a new folder: say in MAY_IMPORT what it may import"
    files = [(name, path) for name in MAY_IMPORT for path in (ROOT / name).rglob("*.py")]
    files.append(("__main__", ROOT / "__main__.py"))
    found = {str(path.relative_to(ROOT)): wrong(folder, path.read_text()) for folder, path in files}
    assert len(found) > len(MAY_IMPORT)
    assert not {path: modules for path, modules in found.items() if modules}


@pytest.mark.parametrize(
    "source",
    [
        "import stacks.load",
        "from stacks.load import parse",
        "from stacks import load",
        "def late():\n    from stacks import load",
        "if TYPE_CHECKING:\n    import stacks.load",
        "import_module('stacks.load')",
        "importlib.import_module(f'stacks.{name}')",
        "import local.paths",
    ],
)
def test_every_way_to_import_is_seen(source):
    assert wrong("serving", source)
    assert wrong("policies", source)


def test_only_tests_of_the_local_cluster_import_it():
    """So that it can be deleted with its tests; tests/test_without_local.py does that to a copy."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if ROOT / "tests/local" not in path.parents]
    found = {path.name: [name for name in imported(path.read_text()) if _is_local(name)] for path in files}
    assert len(found) > len(MAY_IMPORT)
    assert not {name: modules for name, modules in found.items() if modules}


def _is_local(module: str) -> bool:
    return f"{module}.".startswith(("local.", "tests.local."))
