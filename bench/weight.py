"""What a browser loads: the widget, and each page with everything it pulls in, gzipped."""

import gzip
import re
from urllib.parse import urljoin, urlsplit

import httpx

from bench.environment import running_platform
from bench.result import Result

PAGES = (
    "/demo",
    "/sign-in",
    "/dashboard",
    "/dashboard/knowledge",
    "/dashboard/chat",
    "/dashboard/conversations",
    "/dashboard/keys",
    "/dashboard/members",
    "/api/docs",
)
REFERENCE = re.compile(r"""(?:src|href)=["']([^"'#]+\.(?:js|css|svg|png|woff2)[^"']*)["']""")


def run() -> list[Result]:
    """Weigh the widget and each page's first load."""
    with running_platform() as site, site.signed_in() as browser:
        widget = compressed(browser.get("/widget.js").content)
        results = [Result("widget, gzip", widget / 1024, "KiB", 12)]
        for page in PAGES:
            results.append(
                Result(f"first load of {page}, gzip", first_load(browser, page) / 1024, "KiB", 100)
            )
        return results


def first_load(browser: httpx.Client, page: str) -> int:
    """Bytes of a page and of all scripts, styles and images it names."""
    response = browser.get(page)
    response.raise_for_status()
    total = compressed(response.content)
    for reference in set(REFERENCE.findall(response.text)):
        target = urljoin(str(response.url), reference)
        assert urlsplit(target).netloc == response.url.netloc.decode(), (
            f"{page} loads from elsewhere: {target}"
        )
        asset = browser.get(target)
        asset.raise_for_status()
        total += compressed(asset.content)
    return total


def compressed(content: bytes) -> int:
    """Size under gzip at its usual level."""
    return len(gzip.compress(content, 6))
