"""The ``uploader`` command.

Nothing is imported here but click: ``--help``, ``--version`` and completion stay quick however many
plugins are installed.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from uploader_core.cli.commands import OpenGroup, foreign_commands

# name -> (module:attribute, one line for --help). The module is imported when the command is used.
COMMANDS = {
    "run": ("uploader_core.cli.run:run", "Make a release and send it where you want it."),
    "plan": ("uploader_core.cli.run:plan", "Show what run would do; write nothing."),
    "batch": ("uploader_core.cli.batch:batch", "Make many releases in one go."),
    "verify": ("uploader_core.cli.verify:verify", "Check a release against its manifest."),
    "doctor": ("uploader_core.cli.doctor:doctor", "Look at this machine and what is installed."),
    "plugins": ("uploader_core.cli.plugins:plugins", "List, examine, find and install plugins."),
    "step": ("uploader_core.cli.step:step", "Do one step; what the jobs of executors call."),
    "completion": ("uploader_core.cli.completion:completion", "Print a shell completion script."),
}
OPTIONS = ("-h", "--help", "--version", "--debug")
GUIDE = "guide"
"""A command of this name, of whatever distribution, is what ``uploader`` alone starts."""


def command_names() -> list[str]:
    """Return what may be typed as a command, those of other distributions too."""
    return [*COMMANDS, *(command.name for command in foreign_commands())]


class MainGroup(OpenGroup):
    """The command itself; its own commands are imported when they are used."""

    def own_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def own_names(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def own_rows(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [(name, summary) for name, (_, summary) in COMMANDS.items()]

    def unknown(self, name: str, known: list[str]) -> str:
        if os.path.isdir(name):  # noqa: PTH112 - pathlib is not loaded for --help
            return f"{name!r} is a folder. Try: uploader run {name}"
        return super().unknown(name, known)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import uploader_core

        click.echo(f"uploader {uploader_core.__version__}")
        ctx.exit()


@click.group(cls=MainGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and leave.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Turn a fine-tuned language model into a verified release.

    \b
      uploader run ./outputs/final_model
      uploader run ./outputs/final_model --plugins lora,gguf --to hf:me/my-model
    """
    ctx.ensure_object(dict)["debug"] = debug or bool(os.environ.get("UPLOADER_DEBUG"))


def _prepare_streams() -> None:
    """Let standard output accept every character; on Windows a pipe is cp1252."""
    from uploader_core.machine.host import stream_options

    system = "Windows" if sys.platform == "win32" else sys.platform
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            options = stream_options(
                system,
                terminal=stream.isatty(),
                encoding=stream.encoding or "",
                environment=os.environ,
            )
            stream.reconfigure(**options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: Without the program's name; those of the process when None.
    """
    alone = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    if not arguments and any(command.name == GUIDE for command in foreign_commands()):
        arguments = [GUIDE]
    try:
        result = cli.main(args=arguments, prog_name="uploader", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _stopped(alone)
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        return 1
    except Exception as error:
        if _came_of_an_interrupt(error):
            return _stopped(alone)
        from uploader_core.cli.errors import show

        return show(error, arguments)


def _stopped(alone: bool) -> int:
    """Say that the user stopped the command, and return its exit code.

    Args:
        alone: Whether the process is over then. Another Ctrl-C ends it at once: where Python
            leaves, or here, it would be told with a traceback.
    """
    if alone and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    click.echo("stopped; everything finished so far is kept", err=True)
    return 130


def _came_of_an_interrupt(error: BaseException | None) -> bool:
    """Whether an unexpected error was raised while Ctrl-C was handled.

    A second Ctrl-C may arrive where Python itself takes a lock again; leaving the `with` of
    that lock then raises a RuntimeError in place of the KeyboardInterrupt.
    """
    from uploader_core.errors import UploaderError

    while error is not None and not isinstance(error, UploaderError):
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
