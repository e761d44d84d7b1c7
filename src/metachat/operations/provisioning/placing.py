"""Files of root's on a server."""

from io import BytesIO

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files


def place(
    name: str, content: BytesIO | str, path: str, mode: str = "644", group: str = "root"
) -> OperationMeta:
    """Put a file, given by its content or by its path here, where only root may change it."""
    return files.put(name=name, src=content, dest=path, mode=mode, user="root", group=group)
