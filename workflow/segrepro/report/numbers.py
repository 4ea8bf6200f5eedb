"""How numbers are printed in tables: percent with two decimals, intervals, differences with their sign."""

from segrepro.evaluation.leakage import MARK
from segrepro.evaluation.statistics import Estimate
from segrepro.report.printed import NOTHING
from segrepro.report.tables import percent

VERDICTS = {1: "better", 0: "unclear", -1: "worse"}


def interval_columns(prefix: str, estimate: Estimate | None) -> dict[str, str]:
    """Return the ends of an interval as CSV columns ``<prefix>_low`` and ``_high``, in percent; empty for None."""
    ends = (None, None) if estimate is None else (estimate.low, estimate.high)
    return {f"{prefix}_low": unsigned_zero(percent(ends[0])), f"{prefix}_high": unsigned_zero(percent(ends[1]))}


def with_interval(estimate: Estimate) -> str:
    """Print a value and its interval: ``57.61 [52.30, 63.05]``; ``57.61 [–]`` where it has none."""
    return f"{percent(estimate.value)} {interval_text(percent(estimate.low), percent(estimate.high))}"


def interval_text(low: str, high: str) -> str:
    """Print the ends of an interval, each as printed; a dash where there is none."""
    return f"[{low}, {high}]" if low and high else f"[{NOTHING}]"


def gain(fraction: float | None) -> str:
    """Print a difference in percentage points, with its sign: ``+3.01``, ``-0.50``, ``0.00``; empty for None."""
    text = unsigned_zero(percent(fraction))
    return text if text.startswith("-") or text in ("", "0.00") else f"+{text}"


def short_gain(fraction: float) -> str:
    """Print a difference in percentage points with one decimal and its sign."""
    text = f"{100 * fraction:+.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text


def gain_with_interval(estimate: Estimate) -> str:
    """Print a difference and its interval: ``+3.01 [+0.88, +5.20]``; ``+3.01 [–]`` where it has none."""
    return f"{gain(estimate.value)} {interval_text(gain(estimate.low), gain(estimate.high))}"


def unsigned_zero(text: str) -> str:
    """Print what rounds to nothing without a sign."""
    return "0.00" if text == "-0.00" else text


def or_dash(text: str) -> str:
    """Print a dash where there is nothing."""
    return text or NOTHING


def leak_mark(leaks: str) -> str:
    """Return the dagger that follows a leaking system's number, from its share as printed (empty: none leaks)."""
    return f" {MARK}" if leaks else ""
