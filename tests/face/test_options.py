"""Options that are described once: in the function, on the command line, in the dry run and in recipes."""

import ast
import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer

import spectral_ssl
from downstream.probes.rows import DEFAULT_PROBES
from pretext.networks.feature_layers import DEFAULT
from spectral_ssl.cli.app import app
from spectral_ssl.ground.config import within
from spectral_ssl.ground.errors import UserError
from spectral_ssl.planning.options import check_options, option, takes_options
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_options import CompleteOptions, EvaluateOptions, ExportOptions, ProbeOptions
from spectral_ssl.planning.run_plan import plan_run

OPTIONS: dict[str, type] = {
    "prep": PrepOptions,
    "pretrain": PretrainOptions,
    "complete": CompleteOptions,
    "evaluate": EvaluateOptions,
    "probe": ProbeOptions,
    "export": ExportOptions,
}
ONLY_ON_THE_COMMAND_LINE = {"dry_run", "as_json", "quiet"}
# verbs that are made of other verbs
MADE_OF_VERBS = {
    "demo": {"prep", "pretrain", "probe", "features.export"},
    "runs.report": {"probe"},
    "features.export": {"features.export_encoder"},
    "estimates.pretrain": {"estimates.prep"},
    "checks.doctor": {"checks"},  # its self-test
}


@dataclass(frozen=True)
class Small:
    """Options of a made-up verb."""

    size: int = option(3, "The size.", limits=within(1, 5))
    kind: str | None = option(None, "The kind.", names=("a", "b"))

    def __post_init__(self) -> None:
        check_options(self)


@takes_options(Small)
def measure(options: Small) -> int:
    """Measure something.

    Returns
    -------
    int
        The size.
    """
    return options.size


def test_a_function_takes_the_options_of_its_dataclass() -> None:
    assert measure() == 3
    assert measure(4) == measure(size=4, kind="a") == 4
    assert str(inspect.signature(measure)) == "(size: int = 3, kind: str | None = None) -> int"
    text = inspect.getdoc(measure) or ""
    assert (
        'Parameters\n----------\nsize : int\n    The size.\nkind : {"a", "b"}, optional\n    The kind.\n\nReturns'
        in text
    )


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"siez": 3}, TypeError, "did you mean 'size'"),
        ({"zzz": 3}, TypeError, "known are: size, kind"),
        ({"size": 6}, UserError, "size out of range"),
        ({"size": float("nan")}, UserError, "size out of range"),
        ({"kind": "c"}, UserError, "unknown kind"),
    ],
)
def test_what_is_no_option_or_out_of_range_is_refused(options: dict[str, Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        measure(**options)


@pytest.mark.parametrize("verb", OPTIONS)
def test_a_verb_has_the_same_options_everywhere(verb: str) -> None:
    names = [each.name for each in fields(OPTIONS[verb])]
    function = getattr(spectral_ssl, verb)
    signature = inspect.signature(function)
    assert list(signature.parameters) == names
    assert {name: each.default for name, each in signature.parameters.items()} == vars(OPTIONS[verb]())
    positional = [name for name, each in signature.parameters.items() if each.kind is not each.KEYWORD_ONLY]
    assert positional == names[:1]
    command: Any = typer.main.get_command(app)
    on_the_line = {each.name for each in command.commands[verb].params}
    assert on_the_line - ONLY_ON_THE_COMMAND_LINE == set(names)
    with pytest.raises(TypeError, match="did you mean 'workspace'"):
        function(worksapce=".")


def test_defaults_that_are_spelled_without_torch_are_those_of_the_libraries() -> None:
    assert ProbeOptions().probes == DEFAULT_PROBES
    assert ProbeOptions().layer == ExportOptions().layer == DEFAULT


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "cgml", "variant": "laplace-mr1"}, "the method cgml has no variant: .* give --method mr-gan"),
        ({"method": "cgml", "features": "labels"}, "the task denoise has no features: .* give --task from-code"),
    ],
)
def test_an_option_of_another_method_or_task_says_whose_it_is(
    random_maps: Any, tmp_path: Path, options: dict[str, str], words: str
) -> None:
    from spectral_ssl.ground.workspace import Workspace

    with pytest.raises(UserError, match=words):
        plan_run(PretrainOptions(random_maps, **options), Workspace(tmp_path))


def test_later_sources_override_earlier_ones(random_maps: Any, tmp_path: Path) -> None:
    from spectral_ssl.ground.workspace import Workspace

    recipe = tmp_path / "small.toml"
    recipe.write_text('[run]\nmethod = "cgml"\n[train]\nepochs = 2\nseed = 5\nbatch_size = 8\n')
    options = PretrainOptions(random_maps, recipe=str(recipe), epochs=3, seed=6, settings=("seed=7",))
    plan, _ = plan_run(options, Workspace(tmp_path))
    assert (plan.train.batch_size, plan.train.epochs, plan.train.seed) == (8, 3, 7)


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_imports_go_one_way() -> None:
    package = Path(spectral_ssl.__file__).parent
    above = {
        "ground": ("spectral_ssl.planning", "spectral_ssl.verbs", "spectral_ssl.estimator", "spectral_ssl.cli"),
        "planning": ("spectral_ssl.verbs", "spectral_ssl.estimator", "spectral_ssl.cli"),
        "verbs": ("spectral_ssl.estimator", "spectral_ssl.cli"),
    }
    for room, others in above.items():
        for path in (package / room).rglob("*.py"):
            assert [name for name in imported(path) if name.startswith(others)] == [], path
    for path in (package / "verbs").rglob("*.py"):
        name = ".".join(path.relative_to(package / "verbs").with_suffix("").parts)
        verbs = {each.removeprefix("spectral_ssl.verbs.") for each in imported(path) if "spectral_ssl.verbs." in each}
        assert verbs == MADE_OF_VERBS.get(name, set()), name
