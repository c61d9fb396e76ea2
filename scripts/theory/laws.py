"""Laws of a hitting time over the size of a problem: fitted by maximum likelihood, compared where they were not fitted."""

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

Array = NDArray[numpy.float64]
Places = NDArray[numpy.int64]


@dataclass(frozen=True)
class HittingTimes:
    """Runs of several settings: `setting` (runs,) of each, the `step` (runs,), from 1, at which it was hit, and whether it was
    (`hit`); else `step` is how many it made without.
    """

    setting: Places
    step: Array
    hit: NDArray[numpy.bool_]

    def of(self, chosen: NDArray[numpy.bool_]) -> "HittingTimes":
        """The runs of the chosen settings (settings,)."""
        runs = chosen[self.setting]
        return HittingTimes(self.setting[runs], self.step[runs], self.hit[runs])


@dataclass(frozen=True)
class Law:
    """Every run has a chance of its own to be hit at a step, drawn from a beta law of mean mu and precision phi, where
        log(1/mu - 1) = intercept + sum_k slope_k feature_k,
    so times follow a beta-geometric law; a small phi means that runs either hit at once or hardly ever.

    coefficients: intercept, slopes, log phi.
    """

    coefficients: Array

    def mean_chance(self, features: Array) -> Array:
        """mu (settings,) for features (settings, k)."""
        means: Array = 1 / (1 + numpy.exp(_linear(self.coefficients, features)))
        return means

    def log_likelihoods(self, features: Array, times: HittingTimes) -> Array:
        """Of each run, (runs,)."""
        from scipy.special import betaln

        alpha, beta = self._shapes(features, times)
        likelihoods: Array = betaln(alpha + times.hit, beta + times.step - times.hit) - betaln(alpha, beta)
        return likelihoods

    def gradient(self, features: Array, times: HittingTimes) -> Array:
        """Derivative of the sum of the log-likelihoods by the coefficients."""
        from scipy.special import digamma

        alpha, beta = self._shapes(features, times)
        shared = digamma(alpha + beta) - digamma(alpha + beta + times.step)
        by_alpha = digamma(alpha + times.hit) - digamma(alpha) + shared
        by_beta = digamma(beta + times.step - times.hit) - digamma(beta) + shared
        # the shapes are mu phi and (1 - mu) phi, and mu falls with the linear predictor by mu (1 - mu)
        by_linear = (by_beta - by_alpha) * alpha * beta / (alpha + beta)
        own = features[times.setting]
        return numpy.array([by_linear.sum(), *(by_linear @ own), (alpha * by_alpha + beta * by_beta).sum()])

    def _shapes(self, features: Array, times: HittingTimes) -> tuple[Array, Array]:
        phi = numpy.exp(self.coefficients[-1])
        mean = self.mean_chance(features)[times.setting]
        return mean * phi, (1 - mean) * phi


def fit(features: Array, times: HittingTimes, start: Law | None = None) -> Law:
    """The law of the largest likelihood; a slight ridge keeps slopes finite where every run hits at once."""
    from scipy.optimize import minimize

    def loss(coefficients: Array) -> tuple[float, Array]:
        law = Law(coefficients)
        # per run, so that the first steps of the search are of the size of the coefficients
        value = 1e-7 * coefficients @ coefficients - law.log_likelihoods(features, times).mean()
        return float(value), 2e-7 * coefficients - law.gradient(features, times) / len(times.step)

    first = numpy.zeros(features.shape[1] + 2) if start is None else start.coefficients
    # beyond these precisions the likelihood is a difference of huge numbers
    bounds = [*[(-20.0, 20.0)] * (len(first) - 1), (-8.0, 8.0)]
    return Law(minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds).x)


def held_out(features: Array, times: HittingTimes, groups: Places) -> Array:
    """Log-likelihood (settings,) of every setting under the law that is fitted without the settings of its group.

    groups: (settings,); settings of group -1 are never left out, and theirs is 0.
    """
    whole = fit(features, times)
    result = numpy.zeros(len(groups))
    for group in numpy.unique(groups[groups >= 0]):
        out = groups == group
        law = fit(features, times.of(~out), whole)
        tested = times.of(out)
        numpy.add.at(result, tested.setting, law.log_likelihoods(features, tested))
    return result


def _linear(coefficients: Array, features: Array) -> Array:
    linear: Array = numpy.clip(coefficients[0] + features @ coefficients[1:-1], -30, 30)
    return linear
