"""Serves the widget's script to any page."""

from typing import Any

from litestar import Request, Response, get

from metachat.web.widget.source import script

# Short, so that shops get a new version within minutes; the tag makes asking again cheap.
_AGE = "public, max-age=300, stale-while-revalidate=86400"


@get("/widget.js", sync_to_thread=False)
def widget_script(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Give the widget's script."""
    made = script()
    headers = {
        "Cache-Control": _AGE,
        "ETag": made.etag,
        "Vary": "Accept-Encoding",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if request.headers.get("if-none-match") == made.etag:
        return Response(b"", status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(made.compressed, headers=headers, media_type="text/javascript")
    return Response(made.plain, headers=headers, media_type="text/javascript")
