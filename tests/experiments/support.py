"""Helpers of the tests of experiments."""

import pytest

from genjax_models.commands.train import main
from genjax_models.runs.command_line import parse_run


def built(experiment, *flags):
    """The config that the flags name, completed by its data; the data; and the system."""
    config, _ = parse_run(experiment.config, flags, experiment.program)
    config, dataset = config.load()
    return config, dataset, experiment.build(config)


def refused(experiment, flags, words, capsys):
    """Asserts that the command line ends with exit status 2 and one line that has all words."""
    with pytest.raises(SystemExit) as stop:
        main(experiment, flags)
    message = capsys.readouterr().err
    assert (stop.value.code, message.count("\n")) == (2, 1), message
    assert message.startswith("error: ")
    assert all(word in message for word in words), message
