"""What a pycma strategy carries from one generation to the next, as tensors and JSON values instead of a pickle.

pycma has no format of its own but pickle. Between `tell` and `ask` the next generation depends on the attributes below
and on the random numbers, which the caller owns; everything else is a parameter that the constructor derives, a cache, or
kept for stopping criteria, logging and display.
"""

from typing import Any

import numpy as np
import torch

from polystep.contracts import State

CARRIED = {
    "": (
        "mean",
        "mean_old",
        "sigma",
        "pc",
        "pc2",
        "countiter",
        "number_of_injections",
        "pop_injection_directions",
        "_indices_of_selective_mirrors",
    ),
    # the sampler: covariance and its last decomposition, which lags behind; a factor where sigma was redistributed
    "sm": ("C", "B", "D", "count_tell", "count_eigen", "last_update", "standard_deviations"),
    # coordinate-wise standard deviations
    "sigma_vec": ("scaling", "dim", "is_identity"),
    # step-size rule: evolution path or two-point statistic
    "adapt_sigma": ("ps", "cs", "s", "delta", "is_initialized_base", "_ps_updated_iteration"),
    # a linear map that takes over where the covariance becomes ill-conditioned
    "gp": ("_tf_matrix", "_tf_matrix_inv", "isidentity"),
}


def strategy_state(strategy: Any) -> State:
    """The state of a CMAEvolutionStrategy, to be taken between `tell` and `ask`."""
    return {
        part: {name: _stored(getattr(owner, name)) for name in names if hasattr(owner, name)}
        for part, names in CARRIED.items()
        for owner in [_owner(strategy, part)]
    }


def restore_strategy(strategy: Any, state: State) -> None:
    """Put a CMAEvolutionStrategy, just constructed with the same arguments, where `state` was taken."""
    from cma.utilities.utils import ElapsedWCTime

    for part, values in state.items():
        for name, value in values.items():
            setattr(_owner(strategy, part), name, _restored(value))
    if not strategy.gp.isidentity:
        strategy.gp.tf_pheno, strategy.gp.tf_geno = strategy._tfp, strategy._tfg
    # aliases of what the sampler holds
    strategy._updateBDfromSM()
    # made by the first `ask` and missed by the second
    strategy.timer = ElapsedWCTime()


def _owner(strategy: Any, part: str) -> Any:
    return getattr(strategy, part) if part else strategy


def _stored(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        # the order in memory decides how sums are rounded
        transposed = value.ndim == 2 and not value.flags.c_contiguous
        return {"values": torch.from_numpy((value.T if transposed else value).copy()), "transposed": transposed}
    if isinstance(value, np.generic):
        return value.item()
    return [_stored(item) for item in value] if isinstance(value, list | range) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        array = value["values"].cpu().numpy().copy()
        return array.T if value["transposed"] else array
    return [_restored(item) for item in value] if isinstance(value, list) else value
