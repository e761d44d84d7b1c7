"""What a check found, and the next move."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result; `fix` is what to do, and empty when nothing is to be done."""

    passed: bool
    name: str
    found: str
    fix: str = ""

    @classmethod
    def good(cls, name: str, found: str) -> "Finding":
        """All is well."""
        return cls(passed=True, name=name, found=found)

    @classmethod
    def bad(cls, name: str, found: str, fix: str) -> "Finding":
        """Something is to be done."""
        return cls(passed=False, name=name, found=found, fix=fix)
