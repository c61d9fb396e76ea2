"""The files of a data set: found on the disk, or fetched, verified and stored there."""

from collections.abc import Sequence
from pathlib import Path

from tasks.data.dataset import Progress
from tasks.data.errors import DataUnavailable, SourceFailed
from tasks.data.sources import Source
from tasks.data.verified_file import VerifiedFile


def acquire(
    files: Sequence[VerifiedFile], sources: Sequence[Source], folder: Path, stand_in: str, progress: Progress
) -> dict[str, bytes]:
    """Verified bytes of each of `files` by name, from `folder`; those that are not there are fetched and stored there first.

    Args:
        sources: tried in this order.
        folder: named like the data set.
        stand_in: the setting that chooses data which need no files.

    Raises:
        DataCorrupt: a local file has another content. It is neither used nor replaced.
        DataUnavailable: a file is not there and no source delivers it, or it cannot be read or stored.
    """
    present = {file: path for file in files if (path := file.find(folder))}
    raw = {file.name: file.read(path) for file, path in present.items()}
    if missing := [file for file in files if file not in present]:
        try:
            fetched = _fetch(missing, sources, folder.name, progress)
        except SourceFailed as reasons:
            raise DataUnavailable(
                f"{folder.name}: {len(missing)} of {len(files)} files are not in {folder} "
                f"({', '.join(file.name for file in missing)}), and none of {len(sources)} sources delivered them:{reasons}\n"
                f"Put these files in {folder}, raw or with .gz, or choose {stand_in}, which needs no files."
            ) from None
        for file in missing:
            file.store(folder, fetched[file.name])
        raw |= fetched
    progress(f"{folder.name}: {len(files)} files verified by SHA-256 in {folder}")
    return raw


def _fetch(
    missing: Sequence[VerifiedFile], sources: Sequence[Source], name: str, progress: Progress
) -> dict[str, bytes]:
    """What the first source that has them delivers; SourceFailed, with the reason of each source, where none has."""
    reasons = []
    for source in sources:
        progress(f"{name}: trying {source.description}")
        try:
            fetched = source.fetch([file.name for file in missing])
            for file in missing:
                if problem := file.mismatch(fetched[file.name]):
                    raise SourceFailed(f"{file.name}: {problem}")
        except SourceFailed as failure:
            reasons.append(f"{source.description}: {failure}")
            progress(f"{name}: {reasons[-1]}")
        else:
            return fetched
    raise SourceFailed("".join(f"\n  - {reason}" for reason in reasons))
