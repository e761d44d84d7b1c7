"""Deliveries: messages of ours on their way to the providers that take them to people."""
