"""Every change of the database's tables, in order, each with its own frozen tables.

`env.py` connects Alembic to our database, `script.py.mako` is the form of a new revision,
`versions/` holds them. A revision imports nothing of ours, so that it still runs when the tables
have moved on.
From a checkout: `alembic revision -m "add ..."`. Applied by `tasks.store.schema.upgrade`.
"""
