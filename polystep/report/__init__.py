"""Reading: from one table of runs to tables, figures, verdicts and pages."""
