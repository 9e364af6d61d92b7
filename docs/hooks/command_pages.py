"""The page of the command line: every command and option, from typer itself."""

import re

import typer
from typer.cli import get_docs_for_click
from typer.core import TyperGroup


def commands_page() -> str:
    """Markdown of all commands, as ``brenier COMMAND --help`` has them."""
    import brenier.cli._ddpm
    import brenier.cli._ddpm_checkpoint  # noqa: F401  their commands join the app when imported
    from brenier.cli._questions import app

    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    context = typer.Context(command, info_name="brenier")
    text = get_docs_for_click(
        obj=command, ctx=context, name="brenier", title="Every command and option"
    )
    text = _with_whole_lines(text, command)
    # "[default: x]" before a "(" would be a link.
    text = re.sub(r"\[(default|required|env var)", r"\\[\1", text)
    return text.replace("```console", "```text")


def _with_whole_lines(text: str, group: TyperGroup) -> str:
    """The lists of commands say all of each first line: typer cuts them at 45 characters."""
    for name, command in group.commands.items():
        line = " ".join((command.help or "").split("\n\n")[0].split())
        text = text.replace(
            f"* `{name}`: {command.get_short_help_str()}\n", f"* `{name}`: {line}\n"
        )
        if isinstance(command, TyperGroup):
            text = _with_whole_lines(text, command)
    return text
