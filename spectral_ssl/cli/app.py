"""The command line: it passes options to the verbs of the same names and prints their results.

Nothing heavy is imported here: each command loads its verb when it runs.
"""

import sys
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.checks import doctor, verify
from spectral_ssl.cli.data import list_command, prep
from spectral_ssl.cli.features import cluster, neighbors
from spectral_ssl.cli.options import make_command
from spectral_ssl.cli.runs import runs_app
from spectral_ssl.cli.studies import study_app
from spectral_ssl.cli.trained_run import complete, evaluate, export, probe, report
from spectral_ssl.cli.training import demo, pretrain
from spectral_ssl.ground.errors import Interrupted, ReportedElsewhere, UserError
from spectral_ssl.ground.terminal import printable, process_rank
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_options import CompleteOptions, EvaluateOptions, ExportOptions, ProbeOptions

app = typer.Typer(
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
        app()
    except UserError as error:
        who = f" (process {process_rank()})" if process_rank() else ""
        if not isinstance(error, ReportedElsewhere):
            print(printable(f"spectral-ssl{who}: {error}"), file=sys.stderr, flush=True)
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
        _print_on_main(f"spectral-ssl: {error.strerror or error}: got {error.filename or 'no file name'}")
        sys.exit(2)


def _print_on_main(line: str) -> None:
    """Print a line on stderr from the main process, also with --quiet."""
    if process_rank() == 0:
        print(printable(line), file=sys.stderr, flush=True)
