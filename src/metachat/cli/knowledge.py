"""`metachat knowledge`: list, add and remove a tenant's documents, from this machine."""

import json
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from metachat.cli.client import Client, Refused, connect
from metachat.domain.knowledge.filetypes import type_of
from metachat.domain.knowledge.model import DocumentNotFound, UnsupportedFile

app = typer.Typer(no_args_is_help=True, help="List, add and remove documents.", rich_markup_mode=None)

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's short name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_BLOCK = 256 * 1024
_POLL_SECONDS = 0.3
_SETTLED = ("ready", "failed", "stale")
_SOME_FAILED = 65


@app.command("list")
def list_documents(tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """List the documents, the newest first."""
    documents = list(connect(tenant).pages("/api/v1/documents"))
    if as_json:
        print(json.dumps(documents, ensure_ascii=False))
        return
    for document in documents:
        print(f"{document['id']}  {_state(document):<24}  {document['name']}")
    if not documents:
        print("No documents yet. Add some with: metachat knowledge add PATH...")


@app.command("add")
def add(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with files.", exists=True)],
    tenant: Tenant = "demo",
    wait: Annotated[bool, typer.Option(help="Wait until the documents answer.")] = True,
    as_json: AsJson = False,
) -> None:
    """Upload documents; exit code 65 when one of them cannot be read.

    \b
    Examples:
      metachat knowledge add handbook.pdf prices.csv --tenant acme
      metachat knowledge add help-centre/ --no-wait
    """
    client = connect(tenant)
    results = [_add_one(client, path, wait) for path in _files(paths)]
    if as_json:
        print(json.dumps(results, ensure_ascii=False))
    if any(result["status"] in ("failed", "stale", "refused") for result in results):
        raise typer.Exit(_SOME_FAILED)


@app.command("remove")
def remove(
    documents: Annotated[list[str], typer.Argument(help="Names or ids, as listed.")],
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Remove documents with everything that was made of them."""
    client = connect(tenant)
    known = list(client.pages("/api/v1/documents"))
    chosen = [_choose(known, wanted) for wanted in documents]
    for document in chosen:
        client.call("DELETE", f"/api/v1/documents/{document['id']}")
        _tell(f"{document['name']}: removed")
    if as_json:
        print(json.dumps(chosen, ensure_ascii=False))


def _choose(known: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    for document in known:
        if wanted in (document["id"], document["name"]):
            return document
    raise DocumentNotFound(wanted)


def _files(paths: list[Path]) -> Iterator[Path]:
    """Each file; of a folder all that can be read, in order of their names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for inside in sorted(path.rglob("*")):
            if inside.is_file() and not any(part.startswith(".") for part in inside.relative_to(path).parts):
                try:
                    type_of(inside.name)
                except UnsupportedFile:
                    _tell(f"{inside}: left out, not a kind of file that can be read")
                    continue
                yield inside


def _add_one(client: Client, path: Path, wait: bool) -> dict[str, Any]:
    try:
        document = _upload(client, path)
    except Refused as refusal:
        _tell(f"{path.name}: {refusal.sentence} {refusal.detail or ''}".rstrip())
        return {
            "name": path.name, "status": "refused", "error_code": vars(refusal)["code"],
            "error_message": refusal.detail or refusal.sentence,
        }  # fmt: skip
    while wait and document["status"] not in _SETTLED:
        _progress(f"{path.name}: {_state(document)}")
        time.sleep(_POLL_SECONDS)
        document = client.call("GET", f"/api/v1/documents/{document['id']}")
    _tell(f"{path.name}: {_state(document)}")
    return document


def _upload(client: Client, path: Path) -> dict[str, Any]:
    boundary = secrets.token_hex(16)
    name = (
        quote(path.name, safe=" !#$&'()+,-.;=@[]^_`{}~", encoding="utf-8") if '"' in path.name else path.name
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = len(head) + path.stat().st_size + len(tail)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length),
    }  # fmt: skip
    answer = client.send("POST", "/api/v1/documents", _body(head, path, tail), headers, timeout=600)
    return json.loads(answer)


def _body(head: bytes, path: Path, tail: bytes) -> Iterable[bytes]:
    yield head
    size, sent = max(path.stat().st_size, 1), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
            sent += len(block)
            _progress(f"{path.name}: uploading {100 * sent // size} %")
    yield tail


def _state(document: dict[str, Any]) -> str:
    if document["status"] in ("failed", "stale"):
        return f"{document['status']}: {document['error_message']}"
    if document["status"] == "ready":
        return f"ready, {document['chunks_done']} passages"
    if document["chunks_total"]:
        return f"indexing {100 * document['chunks_done'] // document['chunks_total']} %"
    return str(document["status"])


def _progress(line: str) -> None:
    # A line that rewrites itself is only for a person who watches.
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _tell(line: str) -> None:
    print(f"\r\033[K{line}" if sys.stderr.isatty() else line, file=sys.stderr)
