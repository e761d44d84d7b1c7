"""Reads the text of one file; runs inside the extraction's child process, which limits it."""
