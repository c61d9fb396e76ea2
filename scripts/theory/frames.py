"""What theorems ask of a set of directions."""

from torch import Tensor

from polystep.contracts import ExpectedError

TOLERANCE = 1e-5
"""Of sums of directions in float32."""


def require_tight_frame(directions: Tensor, name: str) -> None:
    """Raise ExpectedError unless the unit directions u_v, (V, d), sum to 0 and sum_v u_v u_v^T = (V/d) I.

    The first freezes a particle on a plateau, the second makes steps of the linear regime the same for every rotation.
    """
    count, dimension = directions.shape
    centre = float(directions.sum(0).norm()) / count
    moments = directions.T @ directions * (dimension / count)
    uneven = float((moments - moments.diagonal().new_ones(dimension).diag()).abs().max())
    if max(centre, uneven) > TOLERANCE:
        raise ExpectedError(
            f"{name} is no centred tight frame: the mean of its directions has length {centre:.2g}, and their second moments "
            f"differ from those of a tight frame by {uneven:.2g}; use an orthoplex, a simplex or a cube"
        )
