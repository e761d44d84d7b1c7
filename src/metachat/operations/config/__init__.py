"""Configuration: checked, reached, shown and explained, from the same declarations that every start obeys."""
