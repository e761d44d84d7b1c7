"""What a busy worker does for many conversations in one transaction, since its round trips are what it costs.

Each part does what its namesake for one conversation does, for the plain cases; the others are left to that.
"""
