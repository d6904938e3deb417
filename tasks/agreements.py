"""How far sensitivity runs of one question agree, and whether a cheap method can be trusted here.

Start with `list_agreements`; the correlation itself is `engine.sensitivity.agreement`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.sensitivity.agreement import Agreement, Scores, compare
from tasks.desk import Desk
from tasks.score_tables import choose_metric, get_sensitivity, list_metrics
from tasks.store.records import RunRecord, SensitivityScoreRecord
from tasks.store.sensitivity_scores import list_comparable, list_scores

EXACT = "ablation"
TRUSTED = 0.8
"""A rank correlation from which on the order of a cheap method is as good as the exact one's."""
GUIDING = 0.6
"""One from which on it still tells the most from the least sensitive."""
OTHER_REFERENCE = (
    "; in a trained run the ablation's divergence is counted from the original model, the "
    "gradient's from the trained one at 16 bits, so they differ in that as well"
)


@dataclass(frozen=True)
class RunAgreement:
    """How far another run agrees with this one.

    Attributes:
        run: The other run.
        method: How it scored units.
        metric: The metric of its scores that is compared.
        agreements: For every width that both have, the highest first, and over all (`bits` None).
        sentence: What that means, at the lowest width where both can be compared.
    """

    run: RunRecord
    method: str
    metric: str
    agreements: tuple[Agreement, ...]
    sentence: str


def list_agreements(desk: Desk, run_id: int, metric: str | None = None) -> tuple[RunAgreement, ...]:
    """Compare a sensitivity run with every run that answers the same question, newest first.

    Of each run divergence is compared, or its first metric: methods may have no metric in common,
    and ranks need none.

    Args:
        desk: Where the runs are.
        run_id: A sensitivity run in any state.
        metric: Which of its own metrics.

    Raises:
        RunNotFound: When there is no such run.
        SpecError: When it is no sensitivity run, or has no such metric.
    """
    run, spec = get_sensitivity(desk, run_id)
    records = list_scores(desk.database, run_id)
    own = _pick(records, choose_metric(run, list_metrics(records), metric))
    found = []
    for other in list_comparable(desk.database, run):
        theirs = list_scores(desk.database, other.id)
        if not theirs:
            continue
        chosen = choose_metric(other, list_metrics(theirs), None)
        agreements = compare(own, _pick(theirs, chosen))
        method = str(other.spec["method"]["method"])
        words = describe_agreement(agreements, (spec.method.method, run_id), (method, other.id))
        if spec.parent is not None and _differ_in_reference((spec.method.method, method)):
            words += OTHER_REFERENCE
        found.append(RunAgreement(other, method, chosen, agreements, words))
    return tuple(found)


def describe_agreement(
    agreements: Sequence[Agreement], first: tuple[str, int], second: tuple[str, int]
) -> str:
    """Say in a sentence what agreements mean, at the lowest width that tells anything.

    Args:
        agreements: Of two runs.
        first: Method and number of one run.
        second: Of the other.
    """
    told = [each for each in agreements if each.bits is not None]
    known = [each for each in told if each.correlation is not None]
    cheap, exact = (second, first) if first[0] == EXACT else (first, second)
    names = _name(cheap, exact)
    if not known:
        reason = told[-1].reason if told else "they have no width in common"
        return f"{names[0]} and {names[1]} cannot be compared: {reason}"
    best = min(known, key=lambda each: each.bits or 0)
    assert best.correlation is not None
    span = f" ({best.low:.2f} to {best.high:.2f})"
    where = "here " if exact[0] == EXACT != cheap[0] else ""
    agrees = (
        f"{names[0]} agrees {best.correlation:.2f}{span} with {names[1]} {where}at {best.bits} bits"
    )
    return f"{agrees}: {_judge(best.correlation, (cheap[0], exact[0]))}"


def _differ_in_reference(methods: tuple[str, str]) -> bool:
    """Whether the divergences of two methods are counted from two models, once one is trained."""
    return set(methods) == {EXACT, "gradient"}


def _judge(correlation: float, methods: tuple[str, str]) -> str:
    """Say what to do about it."""
    if EXACT not in methods:
        return "only an ablation tells which of them is right"
    if methods[0] == EXACT:
        is_same = correlation >= TRUSTED
        return "they bear each other out" if is_same else "measure on more text"
    if correlation >= TRUSTED:
        return "its order can be trusted"
    if correlation >= GUIDING:
        return "its order is a guide; measure the layers that decide"
    return "measure before you trust it"


def _name(cheap: tuple[str, int], exact: tuple[str, int]) -> tuple[str, str]:
    """Name two runs by their methods, and by their numbers where these are the same."""
    words = [method.replace("-", " ") for method, _ in (cheap, exact)]
    if cheap[0] == exact[0]:
        return tuple(f"the {words[0]} of run {number}" for _, number in (cheap, exact))  # type: ignore[return-value]
    return f"the {words[0]}", exact[0] if exact[0] == EXACT else f"the {words[1]}"


def _pick(records: Sequence[SensitivityScoreRecord], metric: str) -> Scores:
    """Return the scores of one metric by unit."""
    found: dict[str, dict[int, float]] = {}
    for each in records:
        if each.metric == metric:
            found.setdefault(each.unit, {})[each.bits] = each.value
    return found
