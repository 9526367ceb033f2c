"""The public names: what a namespace promises exists, is typed, is cheap to import, and has an example that runs."""

import ast
import doctest
import inspect
import pkgutil
import re
import runpy
import subprocess
import sys
import typing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spectral_ssl
from data_prep import Item, Source, pixel_basis, prepare_maps

NAMESPACES = (
    "spectral_ssl",
    "data_prep",
    "pretext.data",
    "pretext.losses",
    "pretext.networks",
    "downstream.features",
    "downstream.metrics",
)
NOT_RUN = {  # verbs whose example takes too long, or which other tests run as a whole
    "demo": "it runs every verb for a minute, as `make demo` and tests/face do",
    "serve_study": "it does not return before Ctrl-C",
}


def list_public() -> list[tuple[str, str]]:
    """Pairs of a namespace and a public name of it."""
    return [(namespace, name) for namespace in NAMESPACES for name in import_module(namespace).PUBLIC_NAMES]


def get_public(namespace: str, name: str) -> Any:
    return getattr(import_module(namespace), name)


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_type_checkers_see_the_same_names(namespace: str) -> None:
    module = import_module(namespace)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    typed = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.name == alias.asname, "a type checker sees a name only if it is imported as itself"
            typed[alias.name] = statement.module
    assert typed == module.PUBLIC_NAMES


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_names_exist_and_others_do_not(namespace: str) -> None:
    module = import_module(namespace)
    assert set(module.__all__) >= set(module.PUBLIC_NAMES) == set(dir(module))
    for name, defined_in in module.PUBLIC_NAMES.items():
        public = getattr(module, name)
        assert public.__module__ == defined_in, name
        assert not name.startswith("_")
    with pytest.raises(AttributeError, match=re.escape(f"module {namespace!r} has no attribute 'nothing'")):
        module.nothing  # noqa: B018


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_no_submodule_hides_a_public_name(namespace: str) -> None:
    """An imported submodule becomes an attribute of its package, and ``__getattr__`` is not called for it."""
    module = import_module(namespace)
    assert not {found.name for found in pkgutil.iter_modules(module.__path__)} & set(module.PUBLIC_NAMES)


def test_a_namespace_loads_only_what_is_used() -> None:
    code = (
        f"import sys\nfor name in {NAMESPACES!r}: __import__(name)\n"
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "import data_prep\nfor name in dir(data_prep): getattr(data_prep, name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def find_examples(public: Any, name: str) -> list[doctest.DocTest]:
    """The examples of a function, or of a class and its methods."""
    module = sys.modules[public.__module__]
    found = doctest.DocTestFinder(exclude_empty=True).find(public, name, module=module, globs={})
    return [test for test in found if test.examples]


def returned_by_a_function(namespace: str, public: type) -> bool:
    """Whether a public function of the namespace returns the class, so that the function's example shows it."""
    for name in import_module(namespace).PUBLIC_NAMES:
        function = get_public(namespace, name)
        if inspect.isfunction(function):
            returned = inspect.signature(function).return_annotation
            if public in (returned, *typing.get_args(returned)) or returned == public.__name__:
                return True
    return False


def load_stripes(number: int) -> NDArray[np.uint8]:
    """An image (1, 16, 16) of upright or of lying stripes, each with a shift and noise of its own."""
    generator = np.random.default_rng(number)
    wave = np.sin((np.arange(16) + generator.uniform(0, 16))[:, None] + np.zeros(16))
    image = 128 + 80 * (wave.T if number % 2 else wave) + generator.normal(scale=8, size=(16, 16))
    return image.astype(np.uint8)[None]


class Shared:
    """Names that examples may use without making them, in a workspace of their own; each is made on its first use.

    ``maps`` is a map file of 64 images of 16 x 16 pixels in two classes, ``run`` a short run on it.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.made: dict[str, Any] = {}

    def get(self, names: set[str]) -> dict[str, Any]:
        """Make what is missing of the names, and return them with their values."""
        if "maps" not in self.made and names & {"maps", "run"}:
            items = tuple(
                Item(
                    f"stripes-{number:02}",
                    number % 2,
                    "test" if number >= 48 else "train",
                    partial(load_stripes, number),
                )
                for number in range(64)
            )
            source = Source("stripes", "images", ("upright", "lying"), items, digest="stripes 1")
            (self.workspace / "maps").mkdir(parents=True)
            self.made["maps"] = prepare_maps(source, pixel_basis(1, 16, 16), self.workspace / "maps" / "stripes.h5")
        if "run" not in self.made and "run" in names:
            settings = ("width=4", "code=8")
            self.made["run"] = spectral_ssl.pretrain(
                self.made["maps"], method="regression", epochs=2, settings=settings, workspace=self.workspace
            )
        return {name: self.made[name] for name in names}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return Shared(tmp_path_factory.mktemp("examples") / "workspace")


def find_undefined(test: doctest.DocTest) -> set[str]:
    """The names that an example uses and does not define."""
    tree = ast.parse("".join(example.source for example in test.examples))
    used, defined = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.alias):
            defined.add(node.asname or node.name)
        elif isinstance(node, ast.FunctionDef):
            defined.add(node.name)
    return used - defined


@pytest.mark.parametrize(("namespace", "name"), list_public())
def test_examples_of_public_names_run(
    namespace: str, name: str, shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = get_public(namespace, name)
    tests = find_examples(public, name)
    if not tests:
        assert inspect.isclass(public), f"{namespace}.{name} has no example"
        assert returned_by_a_function(namespace, public), f"{namespace}.{name} has no example"
    if name in NOT_RUN:
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(shared.workspace))
    for test in tests:
        test.globs = {**shared.get(find_undefined(test) & {"maps", "run"}), "folder": tmp_path}
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not runner.failures, "".join(said)


def test_examples_import_public_names_only() -> None:
    own = r"from ((?:data_prep|pretext|downstream|spectral_ssl)[\w.]*) import"
    for namespace, name in list_public():
        for test in find_examples(get_public(namespace, name), name):
            text = "".join(example.source for example in test.examples)
            assert set(re.findall(own, text)) <= set(NAMESPACES), f"{namespace}.{name}"


def test_the_reference_of_the_manual_has_these_namespaces() -> None:
    configuration = runpy.run_path(str(Path(__file__).parent.parent / "docs" / "conf.py"))
    assert configuration["NAMESPACES"] == NAMESPACES
