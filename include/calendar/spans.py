"""Arithmetic of half-open intervals `[start, end)`: lists are sorted, disjoint, without empty ones.

Adjoining spans stay two spans in `clip` and `subtract`, and become one in `merge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from include.calendar.wall_time import Span


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the union of `spans`, in order."""
    merged: list[Span] = []
    for span in sorted(spans):
        if span.start >= span.end:
            continue
        if merged and span.start <= merged[-1].end:
            if span.end > merged[-1].end:
                merged[-1] = Span(merged[-1].start, span.end)
        else:
            merged.append(span)
    return merged


def subtract(spans: Iterable[Span], holes: Sequence[Span]) -> list[Span]:
    """Return what of `spans` lies in none of `holes`; `holes` are sorted and disjoint."""
    left: list[Span] = []
    for start, end in spans:
        here = start
        for hole in holes:
            if hole.end <= here:
                continue
            if hole.start >= end:
                break
            if hole.start > here:
                left.append(Span(here, hole.start))
            here = hole.end
            if here >= end:
                break
        if here < end:
            left.append(Span(here, end))
    return left


def clip(spans: Iterable[Span], bounds: Iterable[Span]) -> list[Span]:
    """Return the parts of `spans` that lie within `bounds`."""
    limits = list(bounds)
    return [
        Span(max(span.start, limit.start), min(span.end, limit.end))
        for span in spans
        for limit in limits
        if span.start < limit.end and limit.start < span.end
    ]
