"""What a class or function is called in records: a short name that outlives moves and renames, and a version."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Target = TypeVar("Target", bound=Callable[..., Any])


@dataclass(frozen=True)
class Component:
    """Identity of a class or function that configurations name.

    name: stable, or the dotted path of a class that declares none. version: raised whenever the same parameters come to
    give other numbers; None where none is declared. inert: parameters that never change a number, such as where data lie.
    variant: parameters that choose which problem a task is, such as its size. added: parameters that are younger than the
    version and change nothing at their defaults, where specifications leave them out, so that older records stay the same
    runs. title, family: for readers.
    """

    name: str
    version: int | str | None
    inert: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    title: str = ""
    family: str = ""


def component(
    name: str,
    version: int,
    *,
    inert: tuple[str, ...] = (),
    variant: tuple[str, ...] = (),
    added: tuple[str, ...] = (),
    title: str = "",
    family: str = "",
) -> Callable[[Target], Target]:
    """Declare the identity of the class or function below; see `Component` for the arguments. Subclasses declare their own."""
    declared = Component(name, version, inert, variant, added, title or name, family)

    def declare(target: Target) -> Target:
        target.__component__ = declared  # type: ignore[attr-defined]
        return target

    return declare


def component_of(target: Any) -> Component:
    """What `target` declares; else its dotted path and its attribute `version`, if that is a number or a text."""
    declared = vars(target).get("__component__") if hasattr(target, "__dict__") else None
    if isinstance(declared, Component):
        return declared
    version = getattr(target, "version", None)
    return Component(
        f"{target.__module__}.{target.__qualname__}",
        version if isinstance(version, int | str) else None,
        title=target.__name__,
    )
