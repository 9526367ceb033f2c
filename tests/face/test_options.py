"""Options that are described once: in the function, on the command line, in the dry run and in recipes."""

import ast
import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import typer
from command_line import call

import spectral_ssl
from downstream.probes.rows import DEFAULT_PROBES
from pretext.networks.feature_layers import DEFAULT
from spectral_ssl.cli.app import app
from spectral_ssl.ground.config import within
from spectral_ssl.ground.errors import UserError, find_near_name
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
ONLY_ON_THE_COMMAND_LINE = {"file", "dry_run", "as_json", "quiet", "name"}  # `prep NAME` is `prep --dataset NAME`
# verbs that are made of other verbs
MADE_OF_VERBS = {
    "demo": {"prep", "pretrain", "probe", "features.embed"},
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
        ({"size": float("nan")}, UserError, "size of the wrong type: got nan"),
        ({"kind": "c"}, UserError, "unknown kind"),
        ({"kind": 3}, UserError, 'kind of the wrong type: got 3 .int.; give {"a", "b"}$'),
        ({"size": "x"}, UserError, "size of the wrong type: got 'x' .str.; give int$"),
        ({"size": True}, UserError, "size of the wrong type: got True .bool.; give int$"),
        ({"size": 1.5}, UserError, "size of the wrong type: got 1.5 .float.; give int$"),
        ({"size": None}, UserError, "size of the wrong type: got None"),
    ],
)
def test_what_is_no_option_or_out_of_range_is_refused(options: dict[str, Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        measure(**options)


WRONG_TYPES: dict[str, dict[str, Any]] = {
    "prep": {"dataset": 3, "degree": "x", "reach": "1", "download": 1, "root": 2.5},
    "pretrain": {"epochs": "x", "max_minutes": "soon", "data": 3, "settings": "epochs=3", "report": "no", "out": 4},
    "complete": {"modes": "x", "run": 3, "seed": 0.5},
    "evaluate": {"beside": "run", "count": (1,), "second": 1},
    "probe": {"probes": "linear", "seeds": "3", "target": 1, "layer": 2},
    "export": {"components": "x", "layer": 3, "overwrite": "yes"},
}


@pytest.mark.parametrize(("verb", "name"), [(verb, name) for verb, wrong in WRONG_TYPES.items() for name in wrong])
def test_a_value_of_the_wrong_type_is_a_mistake_of_the_user(verb: str, name: str) -> None:
    with pytest.raises(UserError, match=f"^{name} of the wrong type: got "):
        getattr(spectral_ssl, verb)(**{name: WRONG_TYPES[verb][name]})


def test_values_of_numpy_and_paths_have_the_right_type(tmp_path: Path) -> None:
    for options in (
        PrepOptions("shapes", degree=cast(int, np.int64(3)), reach=1, root=tmp_path, out=str(tmp_path)),
        ProbeOptions(probes=["linear"], seeds=cast(int, np.int32(2))),
        EvaluateOptions(beside=[tmp_path], settings=("a=1",)),
    ):
        check_options(options)


def test_verbs_without_a_dataclass_refuse_wrong_types_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="number of neighbours is not a number: got 'x'"):
        spectral_ssl.neighbors("q", count="x")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="max_minutes is not a number: got 'x'"):
        spectral_ssl.demo(max_minutes="x")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="run of the wrong type: got 5"):
        spectral_ssl.report(5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="workspace of the wrong type: got 5"):
        spectral_ssl.list_runs(workspace=5)  # type: ignore[arg-type]
    ended = call("demo", "--max-minutes", "-1", workspace=tmp_path / "home")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "max_minutes out of range: got -1.0" in ended.stderr
    assert not (tmp_path / "home").exists()


def test_a_run_without_compare_gets_the_right_command(tmp_path: Path) -> None:
    ended = call("report", "first", workspace=tmp_path)
    assert ended.stderr == (
        "spectral-ssl: run folders without --compare: got first; "
        "write --run first for one run, or --compare RUN RUN for several\n"
    )
    assert "--compare without run folders" in call("report", "--compare", workspace=tmp_path).stderr


@pytest.mark.parametrize(
    ("name", "known", "right"),
    [
        ("foo", ["root", "out"], None),
        ("tpu", ["auto", "cpu", "cuda", "mps"], None),
        ("svn", ["linear", "svm"], "svm"),
        ("joint", ["cgml", "joint-embedding"], "joint-embedding"),
        ("Zernike", ["sh", "zernike"], "zernike"),
        ("rmbedding", ["embedding"], "embedding"),
        ("x", ["xyz"], None),
        ("1.off", ["chair/11.off", "v1/chair/1.off"], "v1/chair/1.off"),
    ],
)
def test_only_a_near_name_is_suggested(name: str, known: list[str], right: str | None) -> None:
    assert find_near_name(name, known) == right


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


@pytest.mark.parametrize(
    "settings", [("width=4", "train.batch_size=3", "flip=true"), {"width": 4, "train": {"batch_size": 3, "flip": True}}]
)
def test_settings_are_texts_or_a_dict(random_maps: Any, tmp_path: Path, settings: Any) -> None:
    from spectral_ssl.ground.workspace import Workspace

    options = PretrainOptions(
        random_maps,
        method="regression",
        settings={**settings, "flip": False} if isinstance(settings, dict) else (*settings, "flip=false"),
    )
    plan, _ = plan_run(options, Workspace(tmp_path))
    assert (plan.method_config.width, plan.train.batch_size, plan.train.data.flip) == (4, 3, False)


def test_an_empty_dict_of_settings_is_none_at_all(random_maps: Any) -> None:
    PretrainOptions(resume="some-run", settings={}).check_resume()
    with pytest.raises(UserError, match="a resumed run keeps its settings"):
        PretrainOptions(resume="some-run", settings={"width": 4}).check_resume()


def test_a_recipe_whose_section_is_no_table_is_one_line(random_maps: Any, tmp_path: Path) -> None:
    from spectral_ssl.ground.workspace import Workspace

    recipe = tmp_path / "odd.toml"
    recipe.write_text('train = 3\n[run]\nmethod = "regression"\n')
    with pytest.raises(UserError):
        plan_run(PretrainOptions(random_maps, recipe=str(recipe)), Workspace(tmp_path))


def test_a_dict_of_settings_has_the_same_messages(random_maps: Any, tmp_path: Path) -> None:
    from spectral_ssl.ground.workspace import Workspace

    for settings, words in (
        ({"widht": 4}, "widht.*did you mean 'width'"),
        ({"width": "wide"}, "bad value for method.width"),
    ):
        with pytest.raises(UserError, match=words):
            plan_run(PretrainOptions(random_maps, method="regression", settings=settings), Workspace(tmp_path))
    with pytest.raises(UserError, match=r"settings of the wrong type.*give dict, or sequence of str"):
        PretrainOptions(random_maps, settings=3)  # type: ignore[arg-type]


def test_a_recipes_bf16_needs_a_processor_that_multiplies_it(
    random_maps: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spectral_ssl.ground.workspace import Workspace

    recipe = tmp_path / "half.toml"
    recipe.write_text('[run]\nmethod = "regression"\ntask = "denoise"\n[train]\nprecision = "bf16"\n')
    for has, given, expected in (
        (True, None, "bf16"),
        (False, None, "auto"),  # float32 on this processor, and still bf16 on a GPU that has it
        (False, "bf16", "bf16"),
    ):
        monkeypatch.setattr("spectral_ssl.planning.run_plan.has_bfloat16", lambda has=has: has)
        options = PretrainOptions(random_maps, recipe=str(recipe), precision=given)
        assert plan_run(options, Workspace(tmp_path))[0].train.precision == expected


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
