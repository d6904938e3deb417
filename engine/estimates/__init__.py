"""What a run will need and give, before it runs; no torch, a few milliseconds.

`prediction` puts it together: `size` (exact bytes of the result), `memory` (peak by parts),
`duration` (seconds by stage with an interval). Behind them: `selection` (which layers are rounded
and adapted), `rank_space` (which of them share a rank), `widths` (how many widths a step trains and
a layer has), `followed` (what lower widths keep of higher ones), `workload` (how much text),
`text_lengths` (how many windows a text has), `benchmarks` (how much a benchmark asks),
`task_lengths` (how long a task's examples are), `row_counts` (how many there are where a run will
look),
`map_duration` and `map_memory` (many maps, and attacks at them), `scoring` (units at widths),
`speed` and `scoring_speed` (what past runs tell of a machine).
"""

from engine.estimates.prediction import Estimate, estimate
from engine.estimates.row_counts import RowCounts
from engine.estimates.scoring_speed import learn_scoring
from engine.estimates.speed import PastRun, SpeedBasis, learn_speed

__all__ = [
    "Estimate",
    "PastRun",
    "RowCounts",
    "SpeedBasis",
    "estimate",
    "learn_scoring",
    "learn_speed",
]
