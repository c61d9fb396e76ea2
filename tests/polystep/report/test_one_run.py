import yaml

from polystep.report.one_run import shown_settings


def test_settings_are_shown_as_files_of_settings_are_written() -> None:
    run = {
        "optimizer.rate_end": 2,
        "optimizer.rate.start": 0.5,
        "optimizer.rate.schedule.steps": 250,
        "optimizer.component": "openai_es",
        "optimizer.decay": float("nan"),
        "budget.steps": None,
        "task.size": 100,
        "seed": 42,
    }
    assert yaml.safe_load(shown_settings(run)) == {
        "optimizer": {
            "component": "openai_es",
            "rate": {"start": 0.5, "schedule": {"steps": 250}},
            "rate_end": 2,
        },
        "task": {"size": 100},
    }


def test_a_value_and_settings_by_one_name_are_both_shown() -> None:
    for run in ({"task.a": 1, "task.a.b": 2}, {"task.a.b": 2, "task.a": 1}):
        shown = shown_settings(run)
        assert "1" in shown and "b: 2" in shown
