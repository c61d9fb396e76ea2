"""A trained policy as an animation:  python -m scripts.render_policy results/reproduction/records/cartpole-polystep-...

One episode of the validation-selected policy, rendered by Gymnasium, as a GIF.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import torch
from PIL import Image

from polystep.bench.checkpoint import load_checkpoint
from polystep.contracts import ExpectedError
from polystep.files import atomic_write
from polystep.records import read_record
from scripts.console import RESULTS, count, explain, guarded, positive_count, say
from tasks.control.task import ControlTask


class RenderError(ExpectedError):
    """What a run learnt cannot be shown."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when the animation was written, 2 after an explained failure."""
    parser = argparse.ArgumentParser(prog="python -m scripts.render_policy", description="Animate a trained policy.")
    parser.add_argument("run", type=Path, help="folder of a finished run, with its checkpoint")
    parser.add_argument("--output", type=Path, default=RESULTS / "policy.gif", help="file (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="of the episode (default: %(default)s)")
    parser.add_argument(
        "--steps", type=positive_count, default=240, help="environment steps at most (default: %(default)s)"
    )
    parser.add_argument("--every", type=positive_count, default=3, help="steps per picture (default: %(default)s)")
    parser.add_argument("--width", type=positive_count, default=300, help="in pixels (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        frames = [Image.fromarray(pixels) for pixels in _frames(options.run, options.seed, options.steps)][
            :: options.every
        ]
        size = options.width, max(1, options.width * frames[0].height // frames[0].width)
        small = [frame.resize(size, Image.Resampling.LANCZOS).quantize(32) for frame in frames]
        milliseconds = 20 * options.every
        with atomic_write(options.output) as file:
            small[0].save(
                file, "GIF", save_all=True, append_images=small[1:], duration=milliseconds, loop=0, optimize=True
            )
    except ExpectedError as error:
        return explain(error)
    say(f"wrote {options.output}, {len(small)} pictures, {options.output.stat().st_size / 1000:.0f} kB")
    return 0


def _frames(run: Path, seed: int, steps: int) -> Iterator[Any]:
    """Pictures of one episode, before every step and after the last one."""
    record = read_record(run)
    settings = dict(record.specification["task"])
    component, _ = settings.pop("component"), settings.pop("version")
    if component != "control" or settings["observation_levels"] is not None:
        raise RenderError(
            f"{run} holds no policy that acts on plain observations; name a run of task=cartpole or the like"
        )
    task = ControlTask(**settings | {"seed": record.seed})
    point = load_checkpoint(run / "checkpoint.safetensors")["run"]["selected"]["point"].unsqueeze(0)
    environment = gymnasium.make(settings["env"], render_mode="rgb_array")
    observation, _ = environment.reset(seed=seed)
    yield environment.render()
    for _ in range(steps):
        observed = torch.as_tensor(observation, dtype=torch.float32).reshape(1, 1, -1)
        outputs = task.policy.respond(point, observed).squeeze(0).numpy()
        action = task.actions.choose(outputs)[0]
        observation, _, terminated, truncated, _ = environment.step(action)
        yield environment.render()
        if terminated or truncated:
            break
    environment.close()


if __name__ == "__main__":
    sys.exit(guarded(main))
