"""The commands put together, and what they share: errors become one line and exit code 2."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from convexrelu import __version__
from convexrelu.cli import certify, check, patterns, predict, pursue, reproduce, solve, verify
from convexrelu.cli.output import BAD_INPUT, INTERRUPTED, complain
from convexrelu.errors import ConvexReLUError

__all__ = ["app", "main"]


class _Group(TyperGroup):
    """Runs a command; what goes wrong on purpose is said in one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has left: typer ends quietly
            raise
        except (ConvexReLUError, OSError) as error:
            complain(error)
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            complain("interrupted; what was printed and written before holds")
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its boxes break words at 80 columns
    help="Certified optima of two-layer ReLU networks, and certificates for networks trained any other way.",
    epilog="Exit codes: 0 it holds, 1 it does not, 2 bad input, 130 interrupted. Try `convexrelu verify`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(show: bool) -> bool:
    if show:
        typer.echo(f"convexrelu {__version__}")
        raise typer.Exit
    return show


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("solve", epilog=solve.EXAMPLES)(solve.solve)
app.command("certify", epilog=certify.EXAMPLES)(certify.certify)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("patterns", epilog=patterns.EXAMPLES)(patterns.patterns)
app.command("pursue", epilog=pursue.EXAMPLES)(pursue.pursue)
app.command("reproduce", epilog=reproduce.EXAMPLES)(reproduce.reproduce)


def main() -> None:
    """Run the command line on the arguments of the process."""
    app(prog_name="convexrelu")
