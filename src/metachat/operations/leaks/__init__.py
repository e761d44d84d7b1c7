"""Finds secrets that lie open in a work tree and in its history."""

from metachat.operations.leaks.baseline import BaselineWrong, read_baseline, write_baseline
from metachat.operations.leaks.model import Leak
from metachat.operations.leaks.reporting import as_json, as_sarif
from metachat.operations.leaks.scanning import scan

__all__ = ["BaselineWrong", "Leak", "as_json", "as_sarif", "read_baseline", "scan", "write_baseline"]
