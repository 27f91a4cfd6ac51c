"""Faults by number: each of the project's list of bad inputs and faults has a test `test_fault_NN_...`, or waits.

The numbers are those of the list: 1-14 data and shapes, 15-29 numbers and arguments, 30-68 checkpoints, files and
processes, 69-80 data and their use, 81-91 numbers. A test that holds several of them has all of their numbers, and
some have several tests.

    pytest -k fault_33                    what holds fault 33
    pytest --collect-only -qk fault_33    its name
"""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
FAULTS = {
    1: "0..255 where [0, 1] is declared",
    2: "[-1, 1] where [0, 1] is declared",
    3: "another rank, or channels first",
    4: "[batch, 1] against [batch]",
    5: "a value that is not finite",
    6: "an empty data set, split or batch",
    7: "a batch larger than the data set",
    8: "a batch that the devices cannot share",
    9: "a last batch that is not full",
    10: "a label out of range",
    11: "an unreadable image",
    12: "a web page in place of data",
    13: "names that are no UTF-8, and their order",
    14: "a decompression bomb",
    15: "a number of samples that is no positive integer",
    16: "a bandwidth that is not positive",
    17: "the root of an MMD",
    18: "a U-statistic of one sample",
    19: "a scale that overflows",
    20: "log(1 - sigmoid)",
    21: "the maximum likelihood payoff of a large logit",
    22: "weights that are all zero",
    23: "a learning rate, decay or number of steps that makes no sense",
    24: "a seed that is another one's",
    25: "a key used twice",
    26: "float64",
    27: "an unknown flag, field or name",
    28: "a donated state used again",
    29: "a step that is compiled again",
    30: "a truncated checkpoint",
    31: "one flipped bit",
    32: "a checkpoint of another model",
    33: "pickled objects",
    34: "arrays whose names are paths",
    35: "a run's name that is a path",
    36: "symbolic links",
    37: "a full disk",
    38: "SIGKILL within a save",
    39: "SIGTERM and SIGINT",
    40: "a save that fails unseen",
    41: "a resumed run that is another one",
    42: "a resumed run that is asked to be another one",
    43: "a resumed run on other devices",
    44: "two processes in one run",
    45: "a run where there is one",
    46: "a directory that cannot be written to",
    47: "clocks that jump",
    48: "a newer format",
    49: "a fork after jax has started threads",
    50: "memory that is not enough, TensorFlow beside jax",
    51: "tests that skip in silence on one device",
    52: "standard output that is closed",
    53: "a run without checkpoints that begins anew",
    54: "a config that is not that of the checkpoints",
    55: "a damaged best checkpoint",
    56: "rows other than those that were written",
    57: "a damaged environment or damaged samples",
    58: "JSON of another type",
    59: "a run's directory that is moved or replaced",
    60: "links and strays within a run's directory",
    61: "a signal outside of training, and a second one",
    62: "closed and full output streams",
    63: "a TFDS folder that names a class of its own",
    64: "a cache that others may write to, and other files in it",
    65: "a killed process beside others",
    66: "hundreds of evaluations",
    67: "a power cut after a save",
    68: "a lock without a config",
    69: "splits of several types or on several scales",
    70: "labels that int32 cannot hold, ids, and labels from 1",
    71: "a folder of splits by another name",
    72: "a likelihood that does not fit the data",
    73: "bool files, rounding beyond the range, other types, other files and other keys",
    74: "labels beside images, grey in colour, and files that are left out",
    75: "unprepared data",
    76: "images outside the range of features",
    77: "what is no log-probability, and labels that are no classes",
    78: "images of more than 8 bits per channel, and of fewer",
    79: "dropout and batch statistics in an encoder or a generator",
    80: "arrays of an ambiguous kind",
    82: "a two-sample statistic that is no number",
    83: "an MMD at wide bandwidths or far from the origin",
    84: "near copies among far data, and one diverged sample",
    86: "an encoder that misses a mode of the posterior",
    87: "shares of exactly 0 or 1, and intervals that leave the possible range",
    88: "figures and gradients other than promised: pmapped's norm, critics of NaN, the root of an MMD, an SNR",
    89: "numbers that int32, float32 or the memory cannot hold",
    90: "features of 1e20 or 1e-25",
    91: "platforms, locales, outputs and arguments of the wrong kind",
}
WAITS: dict[int, str] = {}  # faults of what is not here yet, with the reason


def by_number():
    """Fault -> the tests that have its number in their names, as pytest calls them."""
    table = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_fault_"):
                for number in re.findall(r"fault_(\d\d)_", node.name):
                    table.setdefault(int(number), []).append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return table


def test_every_fault_has_a_test_or_waits_for_what_is_not_here_yet():
    assert sorted(by_number()) == [number for number in FAULTS if number not in WAITS]
