import yaml

from polystep.report.one_run import settings_text


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
    assert yaml.safe_load(settings_text(run)) == {
        "optimizer": {
            "component": "openai_es",
            "rate": {"start": 0.5, "schedule": {"steps": 250}},
            "rate_end": 2,
        },
        "task": {"size": 100},
    }
