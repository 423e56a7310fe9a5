"""Figures as SVG."""

from __future__ import annotations

from html import escape

from include.reports.figure import Box, Dot, Drawing, Figure, Label, Shape, Stroke


def svg(figure: Figure) -> str:
    """Return a figure as two SVG elements as wide as their place; a style shows one of them."""
    about = f"{escape(figure.title)}: {escape(figure.said)}"
    # Nobody hovers over a phone.
    drawings = (("wide", figure.wide, True), ("narrow", figure.narrow, False))
    return "".join(_svg(name, drawing, about, tips=tips) for name, drawing, tips in drawings)


def _svg(name: str, drawing: Drawing, about: str, *, tips: bool) -> str:
    body = "".join(_shape(shape, tips=tips) for shape in drawing.shapes)
    return (
        f'<svg class="{name}" viewBox="0 0 {drawing.width:g} {drawing.height:g}" role="img" '
        f'aria-label="{about}">{body}</svg>'
    )


def _shape(shape: Shape, *, tips: bool) -> str:
    match shape:
        case Box():
            return (
                f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
                f'height="{shape.height:.1f}" rx="{shape.radius:g}" fill="{shape.fill}">'
                f"{_tip(shape.tip if tips else '')}</rect>"
            )
        case Stroke():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
            dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
            return (
                f'<polyline points="{points}" fill="none" stroke="{shape.colour}" '
                f'stroke-width="{shape.width:g}" stroke-linejoin="round"{dashes}/>'
            )
        case Dot():
            return (
                f'<circle cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{shape.radius:g}" '
                f'fill="{shape.fill}">{_tip(shape.tip if tips else "")}</circle>'
            )
        case Label():
            bold = ' font-weight="600"' if shape.bold else ""
            return (
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" '
                f'font-size="{shape.size:g}" fill="{shape.colour}"{bold}>{escape(shape.text)}'
                "</text>"
            )


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
