"""Small SVG shows what the large one did."""

import re

import pytest

from polystep.report.svg import compact


def svg(path: str) -> bytes:
    return f'<svg><metadata>who\nand when</metadata>\n <g id="patch_1">\n  <path d="{path}"/>\n </g>\n</svg>'.encode()


def points(path: str) -> list[tuple[float, float]]:
    """Where a path with commands M, l, h, v and z goes."""
    found: list[tuple[float, float]] = []
    for command, text in re.findall(r"([Mlhvz])([^Mlhvz]*)", path):
        numbers = [float(number) for number in text.split()]
        x, y = found[-1] if found else (0.0, 0.0)
        if command == "M":
            found.append((numbers[0], numbers[1]))
        elif command == "l":
            found.append((x + numbers[0], y + numbers[1]))
        elif command in "hv":
            found.append((x + numbers[0], y) if command == "h" else (x, y + numbers[0]))
    return found


def test_names_and_metadata_go() -> None:
    assert compact(svg("M 0 0 \nL 1 1 \n")) == b'<svg>\n<g>\n<path d="M0 0l1 1"/>\n</g>\n</svg>'


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("M 10 10 \nL 20.04 10 \nL 20.04 10 \nL 30 10 \nL 30 5.5 \nz\n", [(10, 10), (30, 10), (30, 5.5)]),
        ("M 0 0 \nL 5 0 \nL 2 0 \nL 2 -3 \nM 7 7 \nL 8 7 \n", [(0, 0), (5, 0), (2, 0), (2, -3), (7, 7), (8, 7)]),
        ("M 1.26 1 \nL 2.31 3.14159 \n", [(1.3, 1), (2.3, 3.1)]),
    ],
)
def test_paths_go_to_the_same_points(path: str, kept: list[tuple[float, float]]) -> None:
    [short] = re.findall(r'd="([^"]*)"', compact(svg(path)).decode())
    assert points(short) == [pytest.approx(point) for point in kept]


def test_rounding_does_not_add_up() -> None:
    path = "M 0 0 \n" + "".join(f"L {0.04 * step:.2f} {(step % 2) * 0.5} \n" for step in range(1, 1001))
    [short] = re.findall(r'd="([^"]*)"', compact(svg(path)).decode())
    assert points(short)[-1] == pytest.approx((40, 0))


def test_curves_stay_as_they_are() -> None:
    assert b'd="M 0 1 C 0 1 1 1 2 2 z"' in compact(svg("M 0 1 \nC 0 1 1 1 2 2 \nz\n"))


def test_coordinates_are_short_and_text_stays_as_it_is() -> None:
    drawn = b'<svg>\n<text x="1.23456">0.0012 to 3.14159</text>\n</svg>'
    assert compact(drawn) == b'<svg>\n<text x="1.23">0.0012 to 3.14159</text>\n</svg>'
