"""Public names of a package that are imported on their first use.

A package that names its parts in a dict stays cheap to import: the module of a name is loaded when
the name is first asked for. A package also has the same imports under ``TYPE_CHECKING``, for type
checkers and editors. A test holds the two lists equal.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def import_on_first_use(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        The name of the package, for error messages.
    modules : mapping of str to str
        Public name -> the module that holds it. No name may also be that of a submodule of the
        package: an imported submodule would hide it.

    Returns
    -------
    get_attribute : callable
        The function to bind to ``__getattr__``. It raises an AttributeError for other names.
    list_attributes : callable
        The function to bind to ``__dir__``, for completion in a shell.

    Examples
    --------
    >>> get_attribute, list_attributes = import_on_first_use("some.package", {"Path": "pathlib"})
    >>> list_attributes(), get_attribute("Path").__name__
    (['Path'], 'Path')
    """

    def get_attribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    def list_attributes() -> list[str]:
        return sorted(modules)

    return get_attribute, list_attributes
