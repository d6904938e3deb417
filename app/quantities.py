"""Numbers as a person reads them: sizes, times, counts and scores, always with their unit.

Every page, file and figure writes a number through here, so that the same quantity looks the same
everywhere. What a number means stands with its column or field. Start with `write_score`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal

MIB = 2**20
NOTHING = "–"
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_THIN_SPACE = "\u202f"
_SHARES = ("agreement", "accuracy", "acc", "acc_norm", "exact_match", "f1", "change_rate")
_ROUGES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_CORRELATIONS = ("correlation", "pearson", "spearman")


def write_number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits, far ones as powers of ten."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent >= 6 or exponent < -4:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPTS)}"
    return write_fixed(value, max(0, digits - 1 - exponent))


def write_fixed(value: float, decimals: int) -> str:
    """Write a number with so many decimals and thin spaces between thousands."""
    return f"{value:,.{decimals}f}".replace(",", _THIN_SPACE).replace("-", "−")


def write_count(value: int) -> str:
    """Write a whole number with thin spaces between thousands."""
    return write_fixed(value, 0)


def write_bits(bits: float) -> str:
    """Write a nominal width: "4", or "2.5" where layers of several widths make the mean."""
    return f"{bits:g}"


def write_large_count(value: int) -> str:
    """Write a whole number of any size: below a million exactly, else two digits and a power."""
    if value < 10**6:
        return write_count(value)
    mantissa, power = f"{Decimal(value):.1e}".split("e+")
    return f"{mantissa} × 10{power.translate(_SUPERSCRIPTS)}"


def write_bytes(size: float | None) -> str:
    """Write a size in the largest binary unit that leaves at least 1."""
    if size is None:
        return NOTHING
    unit = 0
    while abs(size) >= 1024 and unit < len(_BYTE_UNITS) - 1:
        size /= 1024
        unit += 1
    digits = 0 if unit == 0 else max(0, 2 - len(str(int(abs(size)))) + 1)
    return f"{write_fixed(size, digits)} {_BYTE_UNITS[unit]}"


def write_seconds(seconds: float | None) -> str:
    """Write a length of time: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min", "3 d 4 h"."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def write_span(start: datetime | None, end: datetime | None) -> str:
    """Write the time between two moments; a dash where either is missing."""
    if start is None or end is None:
        return NOTHING
    return write_seconds((end - start) / timedelta(seconds=1))


def write_moment(moment: datetime | None) -> str:
    """Write a moment as ISO date and time in UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else NOTHING


def write_score(
    metric: str, value: float, error: float | None = None, *, beside: Collection[float | None] = ()
) -> str:
    """Write a score in its metric's habit, with its error to the same decimals.

    Perplexity has two decimals, a share stands in percent, a divergence in thousandths (its unit is
    said by `unit_of`).

    Args:
        metric: "perplexity", "kl_divergence", "top1_agreement", ...
        value: The score in the metric's own unit; a share is between 0 and 1.
        error: One standard error in the same unit; left out where None.
        beside: Scores and errors in whose unit this one is written, such as those of its column.
    """
    together = (value, error, *beside)
    scale = scale_of(metric, together)
    value = scale * value
    if not _is_near(value):
        return write_number(value)
    in_percent = is_share(metric, together)
    decimals = 2 if in_percent else _decimals_of(metric, value)
    text = write_fixed(value, decimals)
    if error is not None and math.isfinite(error):
        text += f" ± {write_fixed(scale * error, decimals)}"
    return f"{text} %" if in_percent else text


def scale_of(metric: str, values: Collection[float | None] = ()) -> float:
    """Return what a score is multiplied with to be read: 100 for a share, 1000 for a divergence.

    Args:
        metric: "perplexity", "kl_divergence", "top1_agreement", ...
        values: The scores and errors that are read together, as far as they are known.
    """
    if is_share(metric, values):
        return 100.0
    return 1000.0 if metric.endswith("divergence") else 1.0


def unit_of(metric: str, values: Collection[float | None] = ()) -> str:
    """Return the unit that belongs to `scale_of`: "%", "×10⁻³" or ""."""
    return {100.0: "%", 1000.0: "×10⁻³"}.get(scale_of(metric, values), "")


def is_share(metric: str, values: Collection[float | None] = ()) -> bool:
    """Whether the metric is a share between 0 and 1, shown in percent; its filter says nothing.

    Some tasks of lm-eval count from 0 to 100 under the same names (F1, ROUGE): where one of the
    `values`, scores and errors, is above 1, none is a share.
    """
    plain = metric.partition(" (")[0]
    if not plain.endswith(_SHARES) and plain not in _ROUGES:
        return False
    return not any(value is not None and abs(value) > 1 for value in values)


def is_correlation(metric: str) -> bool:
    """Whether the metric lies between -1 and 1 around nothing, so that ratios of it say nothing."""
    return metric.endswith(_CORRELATIONS)


def _is_near(value: float) -> bool:
    return math.isfinite(value) and abs(value) < 1e7


def _decimals_of(metric: str, value: float) -> int:
    """Return the habit of perplexities and correlations, else three digits in all."""
    size = abs(value)
    if metric == "perplexity" and size < 1000:
        return 2
    if is_correlation(metric):
        return 3
    digits = 1 if size < 1 else math.floor(math.log10(size)) + 1
    return max(0, 3 - digits)
