"""`metachat ask`: one question to the running platform, for people and for scripts."""

import json
import sys
from typing import Annotated, Any

import typer

from metachat.cli.client import connect

DECLINED = 3


def ask(
    question: Annotated[str, typer.Argument(help="What a customer would ask.")],
    tenant: Annotated[str, typer.Option(help="Whose assistant answers.")] = "demo",
    language: Annotated[
        str | None, typer.Option(help="en, de or hr, where the question does not tell.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask the assistant; exit code 0 answered, 3 declined, 69 when nothing runs.

    \b
    Examples:
      metachat ask "How long does delivery to Germany take?"
      metachat ask "Koliko traje jamstvo?" --tenant demo --json
    """
    body = {"question": question} if language is None else {"question": question, "language": language}
    answer = connect(tenant).call("POST", "/api/v1/ask", body)
    sys.stdout.write(
        (json.dumps(answer, ensure_ascii=False, indent=2) if as_json else _readable(answer)) + "\n"
    )
    if answer["declined"]:
        raise typer.Exit(DECLINED)


def _readable(answer: dict[str, Any]) -> str:
    lines = [answer["answer"]]
    for number, source in enumerate(answer["citations"], 1):
        where = f"page {source['page']}" if source["page"] else source["heading"]
        place = f"{source['document']}, {where}" if where else source["document"]
        lines += ["" if number == 1 else None, f"[{number}] {place}", f"    “{source['quote']}”"]
    return "\n".join(line for line in lines if line is not None)
