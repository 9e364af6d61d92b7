"""The page of the command line: every command and option, from typer itself."""

import re

import typer
from typer.cli import get_docs_for_click


def commands_page() -> str:
    """Markdown of all commands, as ``brenier COMMAND --help`` has them."""
    from brenier.cli._app import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="brenier")
    text = get_docs_for_click(
        obj=command, ctx=context, name="brenier", title="Every command and option"
    )
    # Metavariables, [default: ...] and the like are no Markdown; a row of options is a list.
    text = re.sub(r"\[(default|required|env var)", r"\\[\1", text)
    return text.replace("```console", "```text")
