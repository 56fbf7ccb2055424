"""nextToken paging for list calls that answer small lists: one page of at most 100."""

from __future__ import annotations

PAGE = 100


def page(items: list, token: str | None, size: int = PAGE) -> tuple[list, str | None]:
    """The page the token asks for and the token of the next; raises ValueError for a token that is not
    ours.
    """
    start = 0
    if token:
        prefix, _, number = token.partition(":")
        if prefix != "local" or not number.isdigit():
            raise ValueError(token)
        start = int(number)
    rest = start + size < len(items)
    return items[start : start + size], f"local:{start + size}" if rest else None
