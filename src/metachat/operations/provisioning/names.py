"""Names that steps are known by outside of the child, which alone loads pyinfra."""

# What takes back a difference that no other step takes back.
UNDO = "undo: "
