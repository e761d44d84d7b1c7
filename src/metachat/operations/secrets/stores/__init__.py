"""The stores, one file each; `opening` chooses one, and imports only that."""
