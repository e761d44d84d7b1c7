"""Metrics of operations, rules over all metrics, and who hears of what they find."""
