"""Building HTML: elements whose texts are escaped, and nothing else."""

from html import escape
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: Any, **attributes: Any) -> Markup:
    """`<name attributes>children</name>`; children that are no Markup are escaped, those that are None left out.

    An attribute None or False is left out and True has no value; a trailing underscore keeps a name clear of Python's words,
    and further ones stand for hyphens.
    """
    opening = [name]
    for key, value in attributes.items():
        written = key.rstrip("_").replace("_", "-")
        if value is True:
            opening.append(written)
        elif value is not None and value is not False:
            opening.append(f'{written}="{escape(str(value))}"')
    return Markup(f"<{' '.join(opening)}>{join(*children)}</{name}>")


def join(*children: Any) -> Markup:
    """The children one after another."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(str(child)) for child in children if child is not None)
    )
