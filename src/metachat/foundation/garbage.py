"""When cycles of garbage are looked for: what a process loaded at its start is never one."""

import gc

# Objects, then searches, before the next generation is looked through: a batch of requests makes thousands
# that live until its transaction ends, and none of them is garbage then.
_YOUNG, _MIDDLE, _OLD = 20_000, 20, 50


def spare_what_is_loaded() -> None:
    """Leave everything that exists now out of all later searches for garbage, and search less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
