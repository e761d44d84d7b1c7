"""The API's reference as a page to read, made from the OpenAPI document by the server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get
from markupsafe import Markup, escape

from metachat.web.api.document import complete

_TEMPLATES = Path(__file__).parent / "templates"
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of an operation or a property of a schema."""

    name: str
    place: str
    type: Markup
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way in which an operation ends."""

    status: str
    description: str
    type: Markup | None


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method does at one address."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body: Markup | None
    outcomes: list[Outcome]
    example: str


@get("/api/docs", include_in_schema=False, opt={"public": True})
async def show_reference(request: Request[Any, Any, Any]) -> Response[str]:
    """Show the reference."""
    state = request.app.state
    if "reference" not in state:
        state["reference"] = _render(complete(request))
    return Response(state["reference"], media_type=MediaType.HTML, headers={"Cache-Control": "max-age=300"})


@get("/api/docs.css", include_in_schema=False, opt={"public": True})
async def show_style() -> Response[bytes]:
    """Send the reference's style."""
    return Response(_style(), media_type=MediaType.CSS, headers={"Cache-Control": "max-age=300"})


@cache
def _style() -> bytes:
    return (_TEMPLATES / "reference.css").read_bytes()


def _render(document: dict[str, Any]) -> str:
    jinja = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    jinja.filters["prose"] = _prose
    return jinja.get_template("reference.html").render(
        info=document["info"], areas=_areas(document), schemas=_schemas(document["components"]["schemas"])
    )


def _areas(document: Mapping[str, Any]) -> list[tuple[str, str, list[Operation]]]:
    operations = [
        (operation["tags"][0], _operation(document, path, method, operation))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    return [
        (tag["name"], tag["description"], [one for name, one in operations if name == tag["name"]])
        for tag in document["tags"]
    ]


def _operation(document: Mapping[str, Any], path: str, method: str, source: Mapping[str, Any]) -> Operation:
    body, given = source.get("requestBody", {}).get("content", {}), source.get("parameters", [])
    outcomes = [_outcome(document, status, answer) for status, answer in sorted(source["responses"].items())]
    return Operation(
        id=source["operationId"], method=method.upper(), path=path, summary=source["summary"],
        description=source["description"] if source["description"].rstrip(".") != source["summary"] else "",
        parameters=[_field(one["name"], one["in"], one, one.get("schema", {})) for one in given],
        body=_type(next(iter(body.values()))["schema"]) if body else None,
        outcomes=outcomes, example=_example(path, method, body),
    )  # fmt: skip


def _outcome(document: Mapping[str, Any], status: str, answer: Mapping[str, Any]) -> Outcome:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    content = next(iter(answer.get("content", {}).values()), None)
    return Outcome(status, answer["description"], _type(content.get("schema", {})) if content else None)


def _schemas(schemas: Mapping[str, Any]) -> list[tuple[str, str, list[Field], Markup | None]]:
    return [
        (
            name,
            schema.get("description", ""),
            [
                _field(field, "", part | {"required": field in schema.get("required", ())}, part)
                for field, part in schema.get("properties", {}).items()
            ],
            None if "properties" in schema else _type(schema),
        )
        for name, schema in sorted(schemas.items())
    ]


def _field(name: str, place: str, about: Mapping[str, Any], schema: Mapping[str, Any]) -> Field:
    description = about.get("description") or schema.get("description") or ""
    return Field(name, place, _type(schema), bool(about.get("required")), str(description))


def _type(schema: Mapping[str, Any]) -> Markup:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "enum" in schema:
        return Markup(" or ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return Markup(" or ").join(_type(part) for part in schema[key])
    if schema.get("type") == "array":
        return Markup("list of {}").format(_type(schema.get("items", {})))
    return escape(f"{_word(schema)}{_bounds(schema)}")


def _word(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "any value")
    return str(schema.get("format") or (" or ".join(kind) if isinstance(kind, list) else kind))


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    short, long = schema.get("minLength"), schema.get("maxLength")
    if low is not None or high is not None:
        return f", {'' if low is None else low}–{'' if high is None or high > 2**53 else high}"
    if long is not None:
        return f", {short or 0}–{long} characters"
    return ""


def _example(path: str, method: str, body: Mapping[str, Any]) -> str:
    parts = ["curl"] if method == "get" else [f"curl -X {method.upper()}"]
    parts.append('-H "Authorization: Bearer $METACHAT_KEY"')
    if "application/json" in body:
        parts.append("-H 'Content-Type: application/json' -d @body.json")
    elif body:
        parts.append("-F file=@manual.pdf")
    return " ".join([*parts, f'"$METACHAT_URL{path}"'])


def _prose(text: str) -> Markup:
    paragraphs = (str(escape(part)) for part in text.strip().split("\n\n"))
    marked = (_CODE.sub(r"<code>\1</code>", part) for part in paragraphs)
    return Markup("".join(f"<p>{part}</p>" for part in marked))  # noqa: S704 - every part was escaped above


ROUTES = [show_reference, show_style]
