"""Benchmarks: every figure this project names, measured here, beside its limit or its peer."""

from bench.result import Result

__all__ = ["Result"]
