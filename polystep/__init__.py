"""PolyStep: training without gradients, and the contracts that its rivals and tasks share."""

from polystep.algorithm import PolyStep
from polystep.black_box import minimize
from polystep.evaluation.fastest import fastest_evaluator
from polystep.evaluation.functional import FunctionalEvaluator
from polystep.evaluation.objective import BatchObjective
from polystep.layout import ParameterLayout
from polystep.search import Search
from polystep.trainer import Trainer

__all__ = [
    "BatchObjective",
    "FunctionalEvaluator",
    "ParameterLayout",
    "PolyStep",
    "Search",
    "Trainer",
    "fastest_evaluator",
    "minimize",
]
