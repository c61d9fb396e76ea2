"""Rivals against other people's implementations, given the same random numbers; CMA-ES is pycma itself (test_cma_es.py).

Skipped without the packages: pip install -c constraints.txt -e '.[crosscheck]'.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.cr_fm_nes import CRFMNES
from baselines.openai_es import OpenAIES
from baselines.spsa import SPSA
from polystep.layout import ParameterLayout

LAYOUT = ParameterLayout({"x": (7,)})
START = torch.linspace(-1, 1, 7, dtype=torch.float64)


def test_openai_es_equals_that_of_evosax(function: Callable[[Tensor], Tensor], objective: Any) -> None:
    pytest.importorskip("evosax", reason="pip install -c constraints.txt -e '.[crosscheck]'")
    import jax
    import optax
    from evosax.algorithms import Open_ES

    ours = OpenAIES(LAYOUT, START, 5, population=12, sigma=0.125, learning_rate=0.02)
    with jax.enable_x64(True):
        theirs = Open_ES(12, jax.numpy.zeros(7), optimizer=optax.sgd(0.02), std_schedule=optax.constant_schedule(0.125))
        key, settings = jax.random.key(0), theirs.default_params
        state = theirs.init(key, jax.numpy.asarray(START.numpy()), settings)
        for _ in range(40):
            candidates = ours.ask(0.0)
            losses = objective(function).losses(candidates)
            ours.tell(losses)
            points = jax.numpy.asarray(candidates.dense(slice(None)).numpy())
            state, _ = theirs.tell(key, points, jax.numpy.asarray(losses.numpy()), state, settings)
    np.testing.assert_allclose(ours.solution.numpy(), np.asarray(state.mean), rtol=1e-6)
    assert float(function(ours.solution[None])) < float(function(START[None]))


def test_spsa_equals_that_of_noisyopt(
    function: Callable[[Tensor], Tensor], objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisyopt = pytest.importorskip("noisyopt", reason="pip install -c constraints.txt -e '.[crosscheck]'")
    ours, signs = SPSA(LAYOUT, START, 5, a=0.0005, c=0.125, A=2), []
    for _ in range(200):
        candidates = ours.ask(0.0)
        signs.append(candidates.noise(0).double().numpy())
        ours.tell(objective(function).losses(candidates))
    drawn = iter(signs)
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(drawn))
    theirs = noisyopt.minimizeSPSA(
        lambda x: float(function(torch.from_numpy(x)[None])),
        START.numpy().copy(),
        niter=200,
        paired=False,
        a=0.0005,
        c=0.125,
    )
    # our perturbations are rounded to float32
    np.testing.assert_allclose(ours.solution.numpy(), theirs.x, rtol=1e-5)
    assert float(function(ours.solution[None])) < float(function(START[None]))


@pytest.mark.parametrize(("size", "population"), [(7, 8), (300, 16)])
def test_cr_fm_nes_equals_that_of_its_authors(
    function: Callable[[Tensor], Tensor], size: int, population: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates without a finite loss among them; both shapes of the distribution and all three rates of sigma occur."""
    crfmnes = pytest.importorskip("crfmnes", reason="pip install -c constraints.txt -e '.[crosscheck]'")
    start = torch.linspace(-1, 1, size, dtype=torch.float64)
    ours = CRFMNES(ParameterLayout({"x": (size,)}), start, 5, population=population, sigma=0.125)
    told: list[float] = []
    first = {"v": ours._v.numpy()[:, None].copy(), "use_constraint_violation": False}
    theirs = crfmnes.CRFMNES(size, lambda _: told.pop(0), start.numpy()[:, None].copy(), 0.125, population, **first)
    for generation in range(80):
        candidates = ours.ask(0.0)
        losses = function(candidates.dense(slice(None)))
        losses[generation % population] = torch.inf if generation % 5 == 0 else losses[generation % population]
        told.extend(losses.tolist())
        drawn = ours._z[: population // 2].T.numpy()
        monkeypatch.setattr(np.random, "randn", lambda *_, drawn=drawn: drawn)
        theirs.one_iteration()
        ours.tell(losses)
    np.testing.assert_allclose(ours.solution.numpy(), theirs.m[:, 0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours._d.numpy(), theirs.D[:, 0], rtol=1e-8)
    np.testing.assert_allclose(ours._v.numpy(), theirs.v[:, 0], rtol=1e-7, atol=1e-10)
    assert ours._sigma == pytest.approx(theirs.sigma, rel=1e-9)
    assert float(function(ours.solution[None])) < 0.5 * float(function(start[None]))
