"""Figures as SVG."""

from __future__ import annotations

from html import escape

from include.reports.figure import WIDTH, Box, Dot, Figure, Label, Shape, Stroke


def svg(figure: Figure) -> str:
    """Return one figure as an SVG element that fits the width it gets."""
    body = "".join(_shape(shape) for shape in figure.shapes)
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {figure.height:g}" role="img" '
        f'aria-label="{escape(figure.title)}: {escape(figure.said)}">{body}</svg>'
    )


def _shape(shape: Shape) -> str:
    match shape:
        case Box():
            return (
                f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
                f'height="{shape.height:.1f}" rx="{shape.radius:g}" fill="{shape.fill}">'
                f"{_tip(shape.tip)}</rect>"
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
                f'fill="{shape.fill}">{_tip(shape.tip)}</circle>'
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
