"""Intervals and fits that several studies use."""


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a probability. Source: Clopper and Pearson, The Use of Confidence or Fiducial Limits (1934)."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)
