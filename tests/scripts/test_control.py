"""The commands that belong to control: how fast episodes are played, and a policy as an animation."""

import pytest
from PIL import Image

from polystep.bench.composition import compose_config
from polystep.bench.launch import build_run
from scripts import control_speed, render_policy
from scripts.console import CONFIGS


@pytest.fixture
def finished(tmp_path):
    """Makes a run of one step; returns its folder."""

    def make(*overrides):
        small = ["task=cartpole", "task.evaluation=lockstep", "task.horizon=30", "task.test_episodes=2"]
        records = f"records={tmp_path / 'records'}"
        run = build_run(*compose_config(CONFIGS, [*small, "budget.steps=1", "threads=1", records, *overrides]))
        return run.execute().folder

    return make


def test_a_policy_becomes_an_animation(finished, tmp_path, capsys):
    output = tmp_path / "policy.gif"
    command = [str(finished()), "--output", str(output), "--steps", "6", "--every", "2", "--width", "60"]
    assert render_policy.main(command) == 0
    animation = Image.open(output)
    assert animation.format == "GIF" and animation.size == (60, 40) and animation.is_animated
    # before the first, the third and the fifth step, and after the last
    assert "4 pictures" in capsys.readouterr().out
    assert render_policy.main([*command, "--width", "1"]) == 0 and Image.open(output).size == (1, 1)
    with pytest.raises(SystemExit):
        render_policy.main([*command, "--seed", "-1"])
    assert "must be a whole number of at least 0, got -1" in capsys.readouterr().err


def test_what_cannot_be_shown_is_refused(finished, tmp_path, capsys):
    output = str(tmp_path / "policy.gif")
    assert render_policy.main([str(tmp_path), "--output", output]) == 2
    assert "run.json cannot be read" in capsys.readouterr().out
    coarse = str(finished("task.observation_levels=4"))
    assert render_policy.main([coarse, "--output", output]) == 2
    assert "holds no policy that acts on plain observations" in capsys.readouterr().out
    assert not (tmp_path / "policy.gif").exists()


def test_every_path_is_measured(monkeypatch):
    monkeypatch.setattr(control_speed, "ACTIVATIONS", ("binary",))
    monkeypatch.setattr(control_speed, "TRAINED_STEPS", 0)
    table = control_speed.control_speed_table(["cartpole"], 1)
    assert [row["path"] for row in table.rows] == ["gymnasium", "lockstep", "fused", "training"]
    played = [row["steps"] for row in table.rows]
    assert all(row["rate"] > 0 and row["episodes"] == 192 for row in table.rows)
    assert played[0] == played[1] == played[2] > 192
