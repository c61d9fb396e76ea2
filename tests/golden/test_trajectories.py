"""Behaviour stays what it was, or the version of its component says that it changed."""

import json
from typing import Any

import pytest

from polystep.packages import MissingPackageError
from tests.golden.trajectories import MEMBERS, STORED, optimizers, trajectory

EXPECTED: dict[str, Any] = json.loads(STORED.read_text())
STORE = "store the new ones with: python -m tests.golden.trajectories"
RELATIVE = 1e-3
"""Another processor rounds otherwise; another algorithm is farther away."""


def test_every_optimizer_has_stored_trajectories() -> None:
    assert set(optimizers()) == set(EXPECTED), (
        f"optimisers without stored trajectories, or the other way round; {STORE}"
    )
    for optimizer, members in EXPECTED.items():
        assert list(members) == list(MEMBERS), f"members of {optimizer} have changed; {STORE}"
        assert any(members.values()), f"{optimizer} serves no member; add one to MEMBERS that it serves"


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("optimizer", optimizers())
def test_the_first_steps_are_those_that_were_stored(optimizer: str, member: str) -> None:
    expected = EXPECTED.get(optimizer, {}).get(member)
    try:
        found = trajectory(optimizer, member)
    except MissingPackageError as error:
        pytest.skip(str(error))
    assert (found is None) == (expected is None), f"{optimizer} serves {member} now, or no longer does; {STORE}"
    if found is None or expected is None:
        return
    assert found["settings"] == expected["settings"], (
        f"settings or versions of {optimizer} or of the task have changed; {STORE}"
    )
    for name in ("losses", "distances"):
        assert found[name] == pytest.approx(expected[name], rel=RELATIVE), (
            f"behaviour of {optimizer} on {member} changed: raise the component's version, then {STORE}"
        )
