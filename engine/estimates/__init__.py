"""What a run will need and give, before it runs; no torch, a few milliseconds.

`prediction` puts it together: `size` (exact bytes of the result), `memory` (peak by parts),
`duration` (seconds by stage with an interval). Behind them: `selection` (which layers are rounded
and adapted), `rank_space` (which of them share a rank), `workload` (how much text),
`benchmarks` (how much a benchmark asks), `task_lengths` (how long a task's examples are), `speed`
(what past runs tell of a machine).
"""

from engine.estimates.prediction import Estimate, estimate
from engine.estimates.speed import PastRun, SpeedBasis, learn_speed

__all__ = ["Estimate", "PastRun", "SpeedBasis", "estimate", "learn_speed"]
