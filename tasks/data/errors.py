"""What can go wrong when a data set is asked for."""

from polystep.contracts import ExpectedError


class DataError(ExpectedError):
    """Base of the failures of getting data."""


class UnknownDataset(DataError):
    """No data set of this name is registered."""


class IncompatibleDatasets(DataError):
    """Data sets that are to be combined do not fit together."""


class DataCorrupt(DataError):
    """A local file does not hold the content that its name promises."""


class DataUnavailable(DataError):
    """A data set is not there and could not be fetched, or could not be stored."""


class SourceFailed(Exception):
    """One source did not deliver; the message is the reason, and the next source is tried."""
