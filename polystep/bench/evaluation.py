"""When a run is judged."""

from dataclasses import dataclass

from polystep.validation import at_least


@dataclass(frozen=True)
class Evaluation:
    """When a run is validated, and which of its points are tested.

    validate_every: steps between validations; or validations: how many, evenly spaced over the budget; the start and the end
    are validated besides. test_every, test_until: the points after every so many steps, up to some step, are kept and read
    on the test set after training, for comparison with published curves (never for selection).
    """

    validate_every: int | None = None
    validations: int | None = None
    test_every: int | None = None
    test_until: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        at_least(1, **{f"evaluation.{name}": value for name, value in given.items()})
        intervals = {name: given[name] for name in ("validate_every", "validations") if name in given}
        if len(intervals) != 1:
            raise ValueError(
                f"set one of evaluation.validate_every and evaluation.validations, got {intervals or 'none'}"
            )
        if ("test_every" in given) != ("test_until" in given):
            raise ValueError(
                f"set both evaluation.test_every and evaluation.test_until, or none of them; got "
                f"test_every={self.test_every}, test_until={self.test_until}"
            )

    def validation_is_due(self, step: int, before: float, after: float, times_as_often: int = 1) -> bool:
        """Whether to validate after `step`, which took the used share of the budget from `before` to `after`."""
        if self.validations is not None:
            marks = self.validations * times_as_often
            return _whole(after * marks) > _whole(before * marks)
        assert self.validate_every is not None
        return step % max(1, self.validate_every // times_as_often) == 0

    def display_is_due(self, step: int, before: float, after: float) -> bool:
        """Whether to show how `step` went, ten times as often."""
        return self.validation_is_due(step, before, after, times_as_often=10)

    def test_is_due(self, step: int) -> bool:
        """Whether the point after `step` is kept for the test set."""
        if self.test_every is None or self.test_until is None:
            return False
        return step % self.test_every == 0 and step <= self.test_until


def _whole(number: float) -> int:
    """The whole number below, where 28.999999999999996, which is 0.29 x 100 as computers have it, counts as 29."""
    return int(number + 1e-9)
