"""A solved layer map as plain values, for REST and for `--json`. Start with `describe_json`."""

from __future__ import annotations

from typing import Any

from tasks.solving import SolvedMap


def describe_json(found: SolvedMap) -> dict[str, Any]:
    """Return the fields of a `app.api.solving.SolvedReply`."""
    table, solution, ledger, told = found.table, found.solution, found.ledger, found.prediction
    return {
        "sensitivity": {
            "run": table.run.id,
            "method": table.method,
            "metric": table.metric,
            "is_complete": table.is_complete,
            "note": table.note,
        },
        "budget": {"amount": found.request.budget.amount, "unit": found.request.budget.unit},
        "widths": dict(solution.widths),
        "counts": {str(bits): count for bits, count in found.counts.items()},
        "missing": list(table.missing),
        "stored_bytes": solution.stored_bits // 8,
        "ledger": {
            "parts": dict(ledger.parts),
            "total": ledger.total,
            "original": ledger.original,
            "effective_bits": ledger.effective_bits,
            "nominal_bits": ledger.nominal_bits,
        },
        "prediction": {
            "metric": table.metric,
            "value": told.value,
            "low": told.low,
            "high": told.high,
            "corrected_by": told.corrected_by,
            "sum": solution.loss,
            "gap": told.gap,
            "next_gain": told.next_gain,
            "next_layers": list(solution.best_next),
            "note": told.obstacle,
        },
    }
