"""Whether something grows: a straight line through samples. Pure."""

from collections.abc import Sequence
from statistics import StatisticsError, correlation, linear_regression
from typing import NamedTuple


class Trend(NamedTuple):
    """Growth a minute, and how well the line fits: r squared, from 0 to 1."""

    per_minute: float
    fit: float
    samples: int


def trend(samples: Sequence[tuple[float, float]], after_s: float) -> Trend | None:
    """Of samples (s, value) that were taken after the warm-up; None where they are too few for a line."""
    warm = [(moment / 60, value) for moment, value in samples if moment >= after_s]
    if len(warm) < 3:
        return None
    minutes, values = zip(*warm)
    slope = linear_regression(minutes, values).slope
    try:
        fit = correlation(minutes, values) ** 2
    except StatisticsError:                          # it never changed
        fit = 1.0
    return Trend(slope, fit, len(warm))
