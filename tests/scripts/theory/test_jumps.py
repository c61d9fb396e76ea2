"""Steps beside a wall: the planar formula holds to rounding, the curved one fails where the wall curves within a step."""

import pytest
import torch

from polystep.contracts import ExpectedError
from polystep.geometry import polytope_vertices
from polystep.weighting import LinearWeighting
from scripts.theory import planar_jump
from scripts.theory.copies import search_copies
from scripts.theory.curved_jump import CurvedJump, curved_loss
from scripts.theory.frames import require_tight_frame
from scripts.theory.planar_jump import PlanarJump
from scripts.theory.statistics import binomial_interval


def test_the_planar_drift_is_the_formula() -> None:
    found = PlanarJump(dimensions=[2, 3, 8, 16], ratios=[0.01, 1.0, 100.0], frames=256, seed=1).run()["planar_jump"]
    assert len(found) == 12
    for row in found:
        assert row["largest_difference"] < 1e-12
        assert abs(row["mean_drift"] - row["predicted_mean_drift"]) < 4 * row["standard_error"]
        assert row["mean_drift"] < 0


def test_other_weights_do_not_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_linear_weights(start: torch.Tensor, seed: int, **settings: object) -> object:
        return search_copies(start, seed, weighting=LinearWeighting(), **settings)

    monkeypatch.setattr(planar_jump, "search_copies", with_linear_weights)
    (row,) = PlanarJump(dimensions=[2], ratios=[1.0], frames=16, seed=1).run()["planar_jump"]
    assert row["largest_difference"] > 1e-3


@pytest.mark.parametrize(
    ("ratio", "message"), [(0.0, "without a jump"), (float("inf"), "temperature above 0"), (-1.0, "finite")]
)
def test_functions_without_a_jump_and_temperatures_of_zero_are_refused(ratio: float, message: str) -> None:
    with pytest.raises(ExpectedError, match=message):
        PlanarJump(dimensions=[2], ratios=[ratio], frames=4, seed=0).run()


def curved(**settings: object) -> list[dict[str, float]]:
    usual = {
        "curvatures": [0.0, 20.0],
        "probe_distances": [0.2],
        "noises": [0.0, 0.5],
        "frames": 1024,
        "step_radius": 0.1,
    }
    published = {"published_decreases": 327343, "published_frames": 327680}
    return CurvedJump(**(usual | published | {"seed": 0} | settings)).run()["curved_jump"]  # type: ignore[arg-type, return-value]


def test_steps_fail_where_the_wall_curves_within_them() -> None:
    flat, _, _, curved_and_noisy = curved()
    assert flat["decreases"] == 1024
    assert 0.93 < curved_and_noisy["decreases"] / 1024 < 0.98


def test_the_wall_itself_is_on_the_higher_side() -> None:
    losses = curved_loss(torch.tensor([[0.0, 0.0], [-1e-9, 0.0], [-0.1, 1.0]], dtype=torch.float64), 2.0)
    assert losses.tolist() == pytest.approx([2.0, 0.0, 2.057])


def test_no_frames_are_refused() -> None:
    with pytest.raises(ExpectedError, match=r"frames must be at least 1"):
        curved(frames=0)


def test_exact_interval() -> None:
    """Of no successes among n: 0 to 1 - 0.025^(1/n)."""
    low, high = binomial_interval(0, 10)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025**0.1)


def test_frames_that_are_not_tight_are_refused() -> None:
    for polytope, d in (("orthoplex", 5), ("simplex", 7), ("cube", 3)):
        require_tight_frame(polytope_vertices(polytope, d), polytope)  # type: ignore[arg-type]
    with pytest.raises(ExpectedError, match="mine is no centred tight frame"):
        require_tight_frame(torch.eye(2), "mine")
    stretched = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.8, 0.6], [-0.8, -0.6]])
    with pytest.raises(ExpectedError, match="second moments"):
        require_tight_frame(stretched, "mine")
