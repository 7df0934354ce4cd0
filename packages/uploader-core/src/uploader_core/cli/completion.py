"""``uploader completion``: the script that a shell evaluates to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of SHELL.

    \b
      eval "$(uploader completion bash)"       in ~/.bashrc
      eval "$(uploader completion zsh)"        in ~/.zshrc
      uploader completion fish | source        in ~/.config/fish/config.fish
    """
    from uploader_core.cli import cli

    cls = get_completion_class(shell)
    assert cls is not None
    click.echo(cls(cli, {}, "uploader", "_UPLOADER_COMPLETE").source())
    return 0
