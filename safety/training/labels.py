"""What a row's labels say about a head."""

from __future__ import annotations

from safety.training.data import Row


def known(row: Row, head: str) -> int:
    """1, 0, or -1 for not known. A row known to be safe is a 0 for every kind of harm."""
    if head in row.labels:
        return row.labels[head]
    if row.labels.get("unsafe") == 0 and head not in ("unsafe", "sensitive"):
        return 0
    return -1
