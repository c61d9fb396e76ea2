"""Conformance checks that every optimiser and every task must pass.

They raise AssertionError with a sentence about what is violated, so that they serve tests here and in other packages.
`optimizer_checks` and `task_checks` say, one by one, what holds.
"""

from polystep.conformance.optimizers import check_optimizer, optimizer_checks
from polystep.conformance.tasks import check_task, task_checks

__all__ = ["check_optimizer", "check_task", "optimizer_checks", "task_checks"]
