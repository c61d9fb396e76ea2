"""Answers of the author's package to the questions of test_agreement.py, in a process where `polystep` is that package.

python compute.py QUESTIONS ANSWERS      files of torch.save
"""

import sys
from types import SimpleNamespace
from typing import Any

import torch
from polystep.baselines import methods
from polystep.baselines.core import Objective
from polystep.factored_subspace import FactoredSubspace
from polystep.solvers._shared import sanitize_cost
from torch import Tensor, nn

import polystep
from polystep import _step_monolithic
from polystep.geometry import apply_biased_rotation

SOLVERS = {
    "softmax": polystep.SoftmaxSolver,
    "sinkhorn": polystep.SinkhornSolver,
    "kl": polystep.KLSoftmaxSolver,
    "greedy": polystep.MinCostGreedySolver,
    "top_k": polystep.TopKMeanSolver,
}


class Shapes(nn.Module):
    """Parameters of given shapes and values."""

    def __init__(self, values: list[Tensor]):
        super().__init__()
        for number, value in enumerate(values):
            self.register_parameter(f"p{number:02d}", nn.Parameter(value.clone()))

    def flat(self) -> Tensor:
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters()])


def weights(kind: str, costs: Tensor, epsilon: float, settings: dict[str, float]) -> Tensor:
    plan = SOLVERS[kind](epsilon=epsilon, **settings).solve(costs).matrix
    return plan / plan.sum(1, keepdim=True)


def count(shapes: list[tuple[int, ...]], rank: int, cap: int | None) -> int:
    layout = polystep.ParamLayout.from_module(Shapes([torch.zeros(shape) for shape in shapes]))
    return int(polystep.HybridSubspace.from_layout(layout, rank, seed=0, max_subspace_dim=cap).subspace_dim)


def schedule(value: Any) -> Any:
    """A number, or (class, arguments)."""
    return getattr(polystep, value[0])(**value[1]) if isinstance(value, tuple) else value


def steps(
    values: list[Tensor],
    target: Tensor,
    rotations: list[Tensor],
    projections: list[Tensor] | None,
    rank: int,
    absorb_interval: int,
    settings: dict[str, Any],
) -> Tensor:
    """The parameters after each step of minimising 5 mean (|x - target| + (x - target)^2) with the given rotations."""
    model = Shapes(values)
    subspace = None
    if projections is not None:
        layout = polystep.ParamLayout.from_module(model)
        absorb = {"absorb_mode": "periodic", "absorb_interval": absorb_interval}
        subspace = polystep.HybridSubspace.from_layout(layout, rank, seed=0, **absorb)
    settings = {name: schedule(value) for name, value in settings.items()}
    optimizer = polystep.PolyStepOptimizer(model, seed=0, subspace=subspace, **settings)
    if projections is not None:
        own = dict(zip([f"p{number:02d}" for number in range(len(values))], projections, strict=True))
        optimizer._state.hybrid_projections = {name: own[name] for name in optimizer._state.hybrid_projections}
        optimizer.subspace.build_fused_projection(optimizer._state.hybrid_projections)
    given = iter(rotations)
    _step_monolithic.get_random_rotation_matrices = lambda *args, **kwargs: next(given).clone()

    def losses(candidates: dict[str, Tensor]) -> Tensor:
        points = torch.cat([candidates[name].flatten(1) for name, _ in model.named_parameters()], dim=1)
        difference = points - target
        return 5 * (difference.abs() + difference.square()).mean(1)

    found = []
    for _ in range(12):
        optimizer.step(losses)
        found.append(model.flat())
    return torch.stack(found)


def jitter(law: str, width: float, number: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    fake = SimpleNamespace(_generator=generator, probe_radius_jitter_dist=law)
    fake._jitter_icdf = lambda device: polystep.PolyStepOptimizer._jitter_icdf(fake, device)
    fake._JITTER_ICDF_KNOTS = polystep.PolyStepOptimizer._JITTER_ICDF_KNOTS
    return polystep.PolyStepOptimizer._sample_jitter_batch(fake, width, number)


def eggroll(
    values: list[Tensor], target: Tensor, bases: list[Tensor] | None, noise: list[Tensor], settings: dict[str, Any]
) -> Tensor:
    """The parameters after steps of minimising mean (|x - target| + (x - target)^2) with the given directions, of the
    matrices' left factors where there are bases (rank, inputs), else of the parameters.
    """
    model = Shapes(values)
    layout = polystep.ParamLayout.from_module(model)
    given = iter(noise)
    methods._lowrank_noise = lambda *args: next(given)

    def losses(points: Tensor) -> Tensor:
        return ((points - target).abs() + (points - target).square()).mean(1)

    budget = len(noise) * settings["popsize"]
    if bases is None:
        return methods.eggroll(Objective.from_layout(layout, losses, budget), model.flat(), **settings).x
    subspace = FactoredSubspace.from_layout(layout, len(bases[0]), seed=0)
    projected = [spec.entry_key for spec in subspace.specs if spec.is_projected]
    projections = dict(zip(projected, bases, strict=True))

    def flat(coordinates: Tensor) -> Tensor:
        tensors = subspace.reconstruct_batch(projections, dict(model.named_parameters()), coordinates)
        return torch.cat([tensor.flatten(1) for tensor in tensors.values()], dim=1).detach()

    objective = Objective(lambda coordinates: losses(flat(coordinates)), subspace.subspace_dim, budget)
    return flat(methods.eggroll(objective, **settings).x[None])[0]


ANSWERS = {
    "eggroll": eggroll,
    "weights": weights,
    "vertices": lambda polytope, dimension: polystep.POLYTOPE_MAP[polytope](dimension),
    "nearest_vertex": lambda rotations, directions, vertices: apply_biased_rotation(rotations, directions, vertices),
    "non_finite": sanitize_cost,
    "schedule": lambda name, settings, at: torch.tensor([schedule((name, settings)).at(t) for t in at]),
    "count": count,
    "jitter": jitter,
    "steps": steps,
}

if __name__ == "__main__":
    assert polystep.__version__ == "1.1.0", polystep.__version__
    questions = torch.load(sys.argv[1], weights_only=False)
    torch.save({name: ANSWERS[kind](*arguments) for name, (kind, *arguments) in questions.items()}, sys.argv[2])
