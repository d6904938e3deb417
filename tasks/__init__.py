"""The life of a run: stored, queued, claimed by a worker, carried out, recorded, recovered.

Rooms, in the order a run meets them:

- `settings.py` reads the environment, alone; `errors.py` has what can go wrong here.
- `submit.py` is the door for pages, REST and command line, `desk.py` what it stands on;
  `children.py` takes requests for searches and evaluations of ranks, `map_evaluations.py` for those
  of layer maps, `sensitivities.py` for scores of units at widths; `requests.py` makes rows of
  them; `naming.py` names a run and its baseline, `trained_alone.py` tells which runs stand beside a
  model's layer maps;
  `prediction.py` says beforehand what it will need.
- `store/` is the truth: rows in SQLite or Postgres. `states.py` lists the allowed moves.
- `broker.py` starts the embedded Valkey; `celery_app.py` has the queue settings; `wake.py` sends
  hints.
- `worker.py` is the process that serves one slot; `jobs.py` is the Celery side of it; `slot.py`
  does the work: claim, supervise, again. `lease.py` claims and renews; `recovery.py` reaps what
  was lost.
- `supervisor.py` starts and watches one process per attempt; `attempt.py` is that process;
  `processes.py` ties their lives together.
- `recorder.py` writes engine events to the store; `log_capture.py` brings Python's logging to it;
  `fingerprint.py` sizes and hashes files; `pace.py` tells how long it will take.
- `layer_maps.py` says which layer of a run has which width; `score_tables.py` what each loses at
  which width, `scored_units.py` what is shown of that, `agreements.py` how far two such runs agree;
  `solving.py` makes a map of a budget, as `solve_requests.py` reads it.
- `map_subjects.py` says what a layer map is about and what scores it, `map_corrections.py` what
  measured maps teach about predicted ones; `bit_map/` is about layer maps that people edit.
- `parents.py` finds what an attempt needs of the run it builds on; `exporting.py` what is written
  of a run for other programs, and `export_process.py` is the process that writes it.
- `failures.py` says what an exception means; `microbatch.py` makes do with less memory.
- `runners/` knows one kind of run each; `foreground.py` carries a run out in the caller's process.

A message of the broker is only a hint to look; claims, cancels and priorities are columns.
Importing `tasks.submit` or `tasks.store` loads no torch. Start with `submit.py`, then `lease.py`.
"""
