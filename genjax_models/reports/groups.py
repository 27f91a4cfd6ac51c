"""Groups of stored runs: runs that differ only in their seed."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from genjax_models.reports.stored_run import StoredRun

# Held-out metrics are comparable only if these fields are equal: field -> its name in the note.
_MEASURED_ON = {
    "data.name": "data",
    "data.range": "data_range",
    "binarise": "binarise",
    "likelihood.binarise": "binarise",
    "likelihood.family": "likelihood",
}


class Group(NamedTuple):
    """Finished runs that differ only in their seed, or one run."""

    label: str
    runs: Sequence[StoredRun]

    @property
    def measured_on(self) -> dict[str, str]:
        """The fields that comparable results share; all runs of the group have them."""
        return measured_on(self.runs[0].config)


def grouped(runs: Sequence[StoredRun]) -> list[Group]:
    """Returns runs grouped over seeds, in the order of their first runs.

    A run that has not finished has its own group, because its incomplete curve would bias a mean. A run that repeats
    the config and the seed of another run is not a further seed, and goes into another group. So do members of folders.
    """
    members: dict[Any, list[StoredRun]] = {}
    counts: dict[Any, int] = {}
    for run in runs:
        settings = (run.folder, run.experiment.name, *sorted((k, v) for k, v in run.config.items() if k != "seed"))
        repeats = counts.get((settings, run.seed), 0)
        if run.test is None:
            members[run.name] = [run]
        else:
            counts[settings, run.seed] = repeats + 1
            members.setdefault((settings, repeats), []).append(run)
    labels = [_label(group) for group in members.values()]
    return [
        Group(label if labels.count(label) == 1 else f"{label}: {', '.join(run.name for run in group)}", group)
        for label, group in zip(labels, members.values(), strict=True)
    ]


def _label(runs: Sequence[StoredRun]) -> str:
    """Returns the name of a run; for several, the common beginning of their names."""
    if len(runs) == 1:
        return runs[0].name
    common = os.path.commonprefix([run.name for run in runs])  # noqa: RUF071 - of letters, not of folders
    common = re.sub(r"[-_./]*(seed|s)?[-_.]*\d*$", "", common) or runs[0].name
    return f"{common} ({len(runs)} seeds)"


def measured_on(config: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields that comparable results share, by their names in the notes of a page."""
    return {words: config[name] for name, words in _MEASURED_ON.items() if name in config}
