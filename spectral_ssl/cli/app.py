"""The command line: it passes options to the verbs of the same names and prints their results.

Nothing heavy is imported here: each command loads its verb when it runs.
"""

import errno
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import spectral_ssl
from spectral_ssl.cli.checks import doctor, verify
from spectral_ssl.cli.data import list_command, prep
from spectral_ssl.cli.features import cluster, embed, neighbors
from spectral_ssl.cli.options import make_command
from spectral_ssl.cli.runs import runs_app
from spectral_ssl.cli.studies import study_app
from spectral_ssl.cli.trained_run import complete, evaluate, export, probe, report
from spectral_ssl.cli.training import demo, pretrain
from spectral_ssl.cli.usage import refuse_empty_words, refuse_in_one_line
from spectral_ssl.ground.errors import Interrupted, ReportedElsewhere, UserError, find_near_name
from spectral_ssl.ground.terminal import one_line, process_rank, wrap
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_options import (
    CompleteOptions,
    EmbedOptions,
    EvaluateOptions,
    ExportOptions,
    ProbeOptions,
)

# what a user can do about an error of the operating system
ADVICE = {
    errno.ENOSPC: "free disk space and repeat the command",
    errno.EDQUOT: "free disk space and repeat the command",
    errno.EROFS: "give a path on a disk that can be written",
    errno.EACCES: "give a path that you may read and write",
    errno.ENAMETOOLONG: "give a shorter name",
}
# what other toolkits call a command -> the command that does it here
OTHER_NAMES = {
    "encode": "embed",
    "extract": "embed",
    "features": "embed",
    "train": "pretrain",
    "fit": "pretrain",
    "prepare": "prep",
    "preprocess": "prep",
    "eval": "evaluate",
    "test": "probe",
    "linear": "probe",
    "knn": "neighbors",
    "neighbours": "neighbors",
    "search": "neighbors",
    "retrieve": "neighbors",
    "inpaint": "complete",
    "sample": "complete",
    "ls": "list",
    "check": "verify",
    "show": "runs show",
    "compare": "runs compare",
}


class _Commands(TyperGroup):
    """The commands, with a hint for a name that is none of them, and errors of one line for their options."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the options before the command."""
        refuse_empty_words(list(arguments[1]) if len(arguments) > 1 else options.get("args", []))
        with refuse_in_one_line():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the options of the command, and run it."""
        with refuse_in_one_line():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find a command; raise a UserError that names the nearest one if there is none of this name."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            near = OTHER_NAMES.get(name.lower()) or find_near_name(name, known)
            hint = f"`spectral-ssl {near}` does it" if name.lower() in OTHER_NAMES else f"did you mean {near!r}?"
            raise UserError("no such command", repr(name), hint if near else f"choose one of: {', '.join(known)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode=None,  # otherwise typer drops [brackets] in help texts, which it reads as styles
    help="Self-supervised features for images and for 3D shapes seen as spectral maps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(spectral_ssl.__version__)
        raise typer.Exit


app.command()(make_command(EmbedOptions, embed))
app.command()(make_command(PrepOptions, prep))
app.command()(make_command(PretrainOptions, pretrain))
app.command()(make_command(CompleteOptions, complete))
app.command()(make_command(EvaluateOptions, evaluate))
app.command()(make_command(ProbeOptions, probe))
app.command()(make_command(ExportOptions, export))
app.command()(cluster)
app.command()(neighbors)
app.command()(report)
app.command("list")(list_command)
app.command()(verify)
app.command()(doctor)
app.command()(demo)
app.add_typer(study_app, name="study")
app.add_typer(runs_app, name="runs")


def main() -> None:
    """Run the command line; print a mistake of the user as one line on stderr and exit with status 2."""
    try:
        app(prog_name="spectral-ssl")  # otherwise the name of the file or the module that was started
    except UserError as error:
        who = f" (process {process_rank()})" if process_rank() else ""
        if not isinstance(error, ReportedElsewhere):
            print(wrap(f"spectral-ssl{who}: {error}", sys.stderr), file=sys.stderr, flush=True)
        sys.exit(2)
    except Interrupted as error:
        _print_on_main(f"spectral-ssl: {error}")
        sys.exit(error.status)
    except (KeyboardInterrupt, SystemExit) as error:
        # typer turns Ctrl-C into an exit with status 130
        if isinstance(error, SystemExit) and error.code != 130:
            raise
        _print_on_main("spectral-ssl: interrupted; repeat prep to resume it, resume a run with `pretrain --resume RUN`")
        sys.exit(130)
    except BrokenPipeError:
        # the reader of the output has ended (`| head`): this is no error
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # a full disk, an unreadable folder, a name that is too long: a traceback would not help
        what_to_do = ADVICE.get(error.errno or 0, "check the path and repeat the command")
        _print_on_main(f"spectral-ssl: {error.strerror or error}: got {error.filename or 'no path'}; {what_to_do}")
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        what_to_do = "give smaller batches (--set train.batch_size=...), networks or files, or fewer --workers"
        got = one_line(error)[:150] or "no details"
        _print_on_main(f"spectral-ssl: not enough memory: got {got}; {what_to_do}")
        sys.exit(2)


def _is_lack_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Tell whether an error says that memory ran out; torch has no type of its own for it on a CPU."""
    said = ("DefaultCPUAllocator", "can't allocate memory", "CUDA out of memory", "MPS backend out of memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in said)


def _print_on_main(line: str) -> None:
    """Print a line on stderr from the main process, also with --quiet."""
    if process_rank() == 0:
        print(wrap(line, sys.stderr), file=sys.stderr, flush=True)
