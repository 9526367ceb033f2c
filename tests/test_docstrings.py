"""What the public parts of the four packages say of themselves (that they say something at all is ruff's to check)."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import spectral_ssl

ROOT = Path(__file__).parent.parent
PACKAGES = ("spectral_ssl", "data_prep", "pretext", "downstream")
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Public functions, classes and methods of a file, with their names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                        yield f"{node.name}.{member.name}", member


def documented(docstring: str, section: str) -> list[str] | None:
    """Names in a section of a NumPy docstring, None where there is no such section."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", docstring, flags=re.MULTILINE | re.DOTALL)
    if not found:
        return None
    heads = re.findall(r"^(\S[^:\n]*?)(?: ?:.*)?$", found[1], flags=re.MULTILINE)
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def arguments(node: ast.FunctionDef, *, method: bool) -> list[str]:
    """Names of a function's arguments, without the first of a method."""
    given = node.args
    static = any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list)
    names = [each.arg for each in (*given.posonlyargs, *given.args)][1 if method and not static else 0 :]
    rest = [each.arg for each in (given.vararg, *given.kwonlyargs, given.kwarg) if each]
    return [*names, *rest]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_public_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for name, node in public(tree):
        text = ast.get_docstring(node)
        assert text, name
        if isinstance(node, ast.FunctionDef):
            listed = documented(text, "Parameters")
            # what is described exists, and where some are described all are
            assert listed is None or sorted(listed) == sorted(arguments(node, method="." in name)), name


@pytest.mark.parametrize("verb", spectral_ssl.VERBS)
def test_a_verb_describes_all_that_it_takes_and_gives(verb: str) -> None:
    function = getattr(spectral_ssl, verb)
    text = inspect.getdoc(function)
    assert text
    signature = inspect.signature(function)
    assert sorted(documented(text, "Parameters") or []) == sorted(signature.parameters)
    assert signature.return_annotation is None or documented(text, "Returns")
