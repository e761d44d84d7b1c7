"""`metachat static-files`: the pages' files as a proxy serves them by itself."""

import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from metachat.web import pages


def static_files(folder: Annotated[Path, typer.Argument(help="Where to; what lies there stays.")]) -> None:
    """Write the pages' files under the addresses that they have below /static, compressed beside plain.

    With gzip always, with Brotli where its program `brotli` is installed.
    """
    brotli = shutil.which("brotli")
    for file in pages.static_files().values():
        path = folder / file.address.removeprefix("/static/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.plain)
        Path(f"{path}.gz").write_bytes(file.compressed)
        if brotli is not None:
            subprocess.run([brotli, "--best", "--force", "--keep", str(path)], check=True, timeout=60, env={})
