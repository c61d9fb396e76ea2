"""PolyStep: forward-only training by softmax-weighted (one-sided optimal-transport) polytope steps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from polystep.ask_tell import PointOptimizer, all_finite, replace_non_finite
from polystep.candidates import ParticleCandidates
from polystep.component import component
from polystep.contracts import State
from polystep.geometry import Polytope, bias_rotations, haar_rotations, polytope_vertices, turn_nearest_vertices
from polystep.jitter import JitterLaw, jitter_factors
from polystep.layout import ParameterLayout
from polystep.random import generator_state, named_generator, restore_generator
from polystep.schedule import Moment, Schedule, as_schedule
from polystep.subspace import RowSubspace, Subspace
from polystep.update import Adaptive, Coasting, Update
from polystep.validation import SettingError, at_least, non_negative, one_of, schedule_of_positive, share_below_one
from polystep.weighting import LinearWeighting, Softmax, Weighting


@component(
    "polystep",
    version=1,
    added=("probe_jitter", "step_jitter", "jitter_law", "non_finite_floor"),
    title="PolyStep",
    family="particles",
)
class PolyStep(PointOptimizer):
    """Probe every particle along a randomly rotated polytope and move it towards the cheaper vertices.

    Per step t, with temperature eps, step radius r, probe radius q, rotation R_i and vertices p_v:
        probe losses  C_iv = mean_k f(point + lift_i(s_k q R_i p_v))
        weights       W_iv = softmax_v(-C_iv/eps)  (or another `weighting`)
        displacement  x_i  = r R_i sum_v W_iv p_v
        point        <- point + update(lift(x))
    Costs P V K candidates per full step. Source: arXiv 2605.01928; METHOD.md, a step.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        point: Tensor,
        seed: int,
        *,
        subspace: Callable[..., Subspace] = RowSubspace,
        particle_dimension: int = 8,
        polytope: Polytope = "orthoplex",
        probes: int = 1,
        probe_placement: Literal["outermost", "interior"] = "outermost",
        temperature: float | Schedule = 1.0,
        step_radius: float | Schedule = 1.0,
        probe_radius: float | Schedule = 1.0,
        weighting: Weighting | None = None,
        update: Update | None = None,
        coasting: Coasting | None = None,
        biased_rotation: bool | Literal["nearest_vertex"] = False,
        redraw_every: int = 1,
        forget_every: int = 0,
        probe_jitter: float = 0.0,
        step_jitter: float = 0.0,
        jitter_law: JitterLaw = "smooth",
        non_finite_floor: float | None = None,
    ):
        """`point`: start (D,), not changed. `subspace`: called with layout, particle_dimension, seed and device.
        `probe_placement`: probes at distances s_k q with s_k = k/K ("outermost") or, as in the published runs,
        k/(K+1) ("interior": with one probe per direction it sits at q/2). `biased_rotation`: turns the polytope towards the
        last displacement, its first axis (true, as in the first edition) or the vertex that is nearest. `redraw_every`: full
        steps between redraws of the random projections, 0 for never. `forget_every`: steps, coasting ones counted, after
        which all memory is dropped while the projections stay, 0 for never; this is all that the published absorb did.
        `probe_jitter`, `step_jitter`: widths of random factors 1 + eta on the probe radius, one a step, and on the
        displacement, one a particle. `non_finite_floor`: what a candidate without a finite loss costs at least; None:
        a million, as in the first edition, but nothing with LinearWeighting, where it would throw the particle.
        """
        at_least(1, probes=probes)
        one_of(("outermost", "interior"), probe_placement=probe_placement)
        if biased_rotation not in (False, True, "nearest_vertex"):
            raise SettingError(f"biased_rotation must be false, true or 'nearest_vertex', got {biased_rotation!r}")
        one_of(get_args(JitterLaw), jitter_law=jitter_law)
        at_least(0, redraw_every=redraw_every, forget_every=forget_every)
        share_below_one(probe_jitter=probe_jitter, step_jitter=step_jitter)
        for name, width in (("probe_jitter", probe_jitter), ("step_jitter", step_jitter)):
            if width and coasting is not None and coasting.period > 1:
                raise SettingError(
                    f"{name}={width} needs steps that evaluate, but coasting has a period of {coasting.period}; set the "
                    "period to 1 or the jitter to 0"
                )
        super().__init__(layout, point)
        device = point.device
        self.subspace = subspace(layout=layout, particle_dimension=particle_dimension, seed=seed, device=device)
        self._vertices = polytope_vertices(polytope, particle_dimension).to(device)
        self._scales = torch.arange(1, probes + 1, device=device) / (
            probes if probe_placement == "outermost" else probes + 1
        )
        self._temperature = as_schedule(temperature, "temperature")
        self._step_radius = schedule_of_positive(step_radius, "step_radius")
        self._probe_radius = schedule_of_positive(probe_radius, "probe_radius")
        self._weighting = weighting or Softmax()
        self._update = update or Adaptive(learning_rate=1e-2)
        self._coasting = coasting or Coasting(period=1)
        self._biased, self._redraw_every, self._forget_every = biased_rotation, redraw_every, forget_every
        self._probe_jitter, self._step_jitter, self._jitter_law = probe_jitter, step_jitter, jitter_law
        if non_finite_floor is None:
            non_finite_floor = 0.0 if isinstance(self._weighting, LinearWeighting) else 1e6
        self._non_finite_floor = non_negative(non_finite_floor, "non_finite_floor")
        self._generator = named_generator(seed, "polystep", device=device)
        self._jitter_generator = named_generator(seed, "polystep jitter", device=device)
        self._generators = self._generator, self._jitter_generator
        self._full_steps = self._draw = 0
        self._bias: Tensor | None = None
        self._temperature_at(Moment(0, 0.0))

    def _propose(self) -> ParticleCandidates:
        """Probe points, particle-major, then vertex, then probe; none on a coasting step."""
        particles, dimension = self.subspace.particles, self.subspace.particle_dimension
        self._now = replace(self._now, temperature=self._temperature_at(self._now))
        if not self._coasting.is_full(self._step):
            directions = self._vertices.new_empty(0, len(self._vertices), dimension)
        else:
            rotations = haar_rotations(particles, dimension, self._generator)
            if self._biased and self._bias is not None:
                rotations = self._biased_rotations(rotations, self._bias.to(rotations))
            directions = torch.einsum("pij,vj->pvi", rotations, self._vertices).to(self._point.dtype)
        radius = self._probe_radius.at(self._now)
        if self._probe_jitter:
            radius *= float(jitter_factors(1, self._probe_jitter, self._jitter_law, self._jitter_generator))
        offsets = (directions.unsqueeze(2) * (radius * self._scales).unsqueeze(-1)).reshape(-1, dimension)
        particle = torch.arange(len(directions), device=offsets.device)
        particle = particle.repeat_interleave(len(self._vertices) * len(self._scales))
        self._directions = directions
        return ParticleCandidates(self._point, self.subspace, particle, offsets)

    def _biased_rotations(self, rotations: Tensor, bias: Tensor) -> Tensor:
        if self._biased == "nearest_vertex":
            return turn_nearest_vertices(rotations, self._vertices, bias)
        return bias_rotations(rotations, bias)

    def _temperature_at(self, now: Moment) -> float:
        temperature = self._temperature.at(now)
        if not temperature > 0:
            raise SettingError(f"temperature must be above 0 at every step, got {temperature} at step {now.step}")
        return temperature

    def _learn(self, losses: Tensor) -> dict[str, float]:
        diagnostics = self._take_full_step(losses) if len(losses) else self._coast()
        if self._forget_every and (self._step + 1) % self._forget_every == 0:
            self._forget()
        return diagnostics

    def _coast(self) -> dict[str, float]:
        self._point = self._point + self._coasting.movement(self._step)
        return {}

    def _take_full_step(self, losses: Tensor) -> dict[str, float]:
        directions = self._directions
        shape = (len(directions), len(self._vertices), len(self._scales))
        coordinates, diagnostics = self._respond(losses.reshape(shape), directions)
        displacement = self.subspace.lift(coordinates)
        movement = self._update.move(displacement, self._now, self._point)
        if all_finite(movement):
            self._point = self._point + movement
            self._coasting.record(displacement, movement)
            self._bias = coordinates if self._biased else None
        else:
            self._forget()
        self._full_steps += 1
        if self.subspace.has_random_projections and self._redraw_every and self._full_steps % self._redraw_every == 0:
            self._redraw(self._draw + 1)
        return diagnostics | {"movement": float(movement.norm())}

    def _respond(self, losses: Tensor, directions: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Coordinates (P, d) of the displacement, and diagnostics, for losses (P, V, K) along unit directions (P, V, d)."""
        costs = replace_non_finite(losses, self._non_finite_floor).mean(-1)
        temperature = self._now.temperature
        assert temperature is not None
        weights = self._weighting.weights(costs, temperature).to(directions.dtype)
        coordinates = torch.einsum("pv,pvi->pi", weights, directions)
        coordinates *= self._step_radius.at(self._now)
        if self._step_jitter:
            factors = jitter_factors(len(coordinates), self._step_jitter, self._jitter_law, self._jitter_generator)
            coordinates *= factors.unsqueeze(1)
        spread = float((costs.amax(1) - costs.amin(1)).max())
        return coordinates, {"cost_range_over_temperature": spread / temperature}

    def _redraw(self, draw: int) -> None:
        self._draw = draw
        self.subspace.redraw(draw)
        self._bias = None
        self._weighting.forget()

    def _forget(self) -> None:
        self._update.forget()
        self._coasting.forget()
        self._weighting.forget()
        self._bias = None

    def _state(self) -> State:
        state = super()._state()
        state["counters"] |= {"full_steps": self._full_steps, "draw": self._draw}
        return state | {
            "generator": generator_state(self._generator),
            "jitter_generator": generator_state(self._jitter_generator),
            "bias": {} if self._bias is None else {"coordinates": self._bias},
            "update": self._update.state_dict(),
            "coasting": self._coasting.state_dict(),
            "weighting": self._weighting.state_dict(),
        }

    def _restore(self, state: State) -> None:
        super()._restore(state)
        restore_generator(self._generator, state["generator"])
        restore_generator(self._jitter_generator, state["jitter_generator"])
        counters = state["counters"]
        self._full_steps, self._draw = counters["full_steps"], counters["draw"]
        self.subspace.redraw(self._draw)
        self._bias = state["bias"].get("coordinates")
        self._update.load_state_dict(state["update"])
        self._coasting.load_state_dict(state["coasting"])
        self._weighting.load_state_dict(state["weighting"])
