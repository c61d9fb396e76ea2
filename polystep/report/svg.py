"""SVG as matplotlib writes it, made small, and made part of a page."""

import hashlib
import re
from html import escape

from polystep.report.charts import COLOURS

INK, GRID, GROUND = "#1d2126", "#d9d6d0", "#fffffe"
"""Text, grid and background; the page replaces them by its own (`for_page`)."""
_ON_PAGE = {
    **{INK: "currentColor", GRID: "var(--faint)", GROUND: "none", COLOURS[0]: "var(--own)"},
    # too dark for a dark page
    **{"#882255": "var(--wine)", "#661100": "var(--rust)"},
}
_FONT = "font-family: 'DejaVu Sans', sans-serif; "


def compact(svg: bytes) -> bytes:
    """The same picture in a quarter of the bytes: no metadata, no names of groups, paths in tenths of a point, styles once.

    Names of styles differ between pictures, for a page has one list of them.
    """
    text, name = svg.decode(), hashlib.sha256(svg).hexdigest()[:4]
    text = re.sub(r"<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'(?<= d=")[^"]+', lambda found: _short_path(found[0]), text)
    # in tags alone: what readers see, such as 0.001 beside an axis, stays
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = text.replace(_FONT, "")
    styles = {style: f"s{name}{n}" for n, style in enumerate(dict.fromkeys(re.findall(r' style="([^"]*)"', text)))}
    text = re.sub(r' style="([^"]*)"', lambda found: f' class="{styles[found[1]]}"', text)
    listed = "".join(f"\n.{short}{{{style}}}" for style, short in styles.items())
    text = text.replace("</style>", f"\ntext{{{_FONT}}}{listed}</style>", 1)
    return re.sub(r"\s*\n\s*", "\n", text).encode()


def for_page(svg: bytes, title: str) -> str:
    """The SVG as part of a page: in the page's colours, of the width that there is."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    label = escape(title, quote=True)
    sizes = f"max-width:{float(width) * 1.34:.0f}px;--least:{float(width):.0f}px"
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" style="{sizes}">'
    text = head + text[text.index(">") + 1 :]
    for colour, shown in _ON_PAGE.items():
        text = text.replace(colour, shown)
    return text


def _short_path(path: str) -> str:
    """Straight lines from point to point, each by its distance from the last; runs of one direction are one line.

    A path with curves stays as it is.
    """
    path = " ".join(path.split())
    if set(path) & set("CQSA"):
        return path
    parts: list[str] = []
    x = y = begin_x = begin_y = along = 0
    for command, point in re.findall(r"([MLz]) ?([^MLz]*)", path):
        if command == "z":
            parts.append("z")
            x, y, along = begin_x, begin_y, 0
            continue
        to_x, to_y = (round(10 * float(number)) for number in point.split())
        if command == "M":
            parts.append(f"M{to_x / 10:g} {to_y / 10:g}")
            begin_x, begin_y, along = to_x, to_y, 0
        elif to_y == y and to_x != x:
            if parts[-1][0] == "h" and along * (to_x - x) > 0:
                parts.pop()
            else:
                along = 0
            along += to_x - x
            parts.append(f"h{along / 10:g}")
        elif to_x == x and to_y != y:
            parts.append(f"v{(to_y - y) / 10:g}")
        elif to_x != x:
            parts.append(f"l{(to_x - x) / 10:g} {(to_y - y) / 10:g}")
        x, y = to_x, to_y
    return "".join(parts)
