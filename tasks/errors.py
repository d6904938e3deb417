"""What can go wrong in the life of a run, as a person should read it.

Errors whose kind is "spec" are bad requests (exit code 2, HTTP 4xx); the rest are failures.
"""

from __future__ import annotations

from engine.errors import BitdialError


class SettingsError(BitdialError):
    """A setting of the environment cannot be used."""

    kind = "spec"


class RunNotFound(BitdialError):
    """There is no such run."""

    kind = "spec"


class DraftNotFound(BitdialError):
    """There is no such draft."""

    kind = "spec"


class MapNotFound(BitdialError):
    """There is no such bit map."""

    kind = "spec"


class DraftConflict(BitdialError):
    """The form was changed in another tab; reload it to go on from there."""

    kind = "spec"


class WrongState(BitdialError):
    """The run is not in a state that allows this."""

    kind = "spec"


class ParentGone(BitdialError):
    """What this run builds on is no longer there."""

    kind = "data"


class Fenced(BitdialError):
    """This attempt no longer owns the run; a newer one does, or the run has ended."""

    kind = "lost"


class StoreUnavailable(BitdialError):
    """The database cannot be reached."""


class SchemaOutdated(BitdialError):
    """The database does not fit this version of Bitdial; run `bitdial db upgrade`."""


class BrokerError(BitdialError):
    """The embedded broker cannot be started."""


class SlotTaken(BitdialError):
    """Another worker serves this slot."""

    kind = "spec"
