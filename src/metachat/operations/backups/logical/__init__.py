"""The database as rows, for another version of Postgres: written to one encrypted file, and read from it."""
