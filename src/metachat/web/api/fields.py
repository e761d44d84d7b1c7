"""The bounds of what comes in: every text has a length, and none holds a character that cannot be stored."""

from typing import Annotated, Any

from litestar import Request
from litestar.params import QueryParameter
from msgspec import Meta

AnyRequest = Request[Any, Any, Any]

_LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
_NO_NUL = r"^[^\x00]*$"

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE, description="One line of text.")]
Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")
]
Password = Annotated[str, Meta(min_length=1, max_length=256)]
NewPassword = Annotated[str, Meta(min_length=10, max_length=256)]
Slug = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Text = Annotated[str, Meta(min_length=1, max_length=8000, pattern=_NO_NUL)]
Words = Annotated[str, Meta(max_length=8000, pattern=_NO_NUL, description="May be empty beside a file.")]
Days = Annotated[int, Meta(ge=1, le=3650)]

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many items to return at most.")]
Cursor = Annotated[
    str | None,
    QueryParameter(max_length=200, description="`next_cursor` of the page before; none for the first."),
]
