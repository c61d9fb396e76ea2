"""Reading records: from one table of runs to tables, figures, verdicts and pages. Nothing here runs anything."""

from polystep.report.runs import load_runs

__all__ = ["load_runs"]
