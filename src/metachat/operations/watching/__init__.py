"""Watching a site from outside: probes, a ledger that is only added to, and alerts without Prometheus."""
