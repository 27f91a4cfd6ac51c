"""Whether the estimators are right on the device at hand, at each precision of its products of matrices.

python -m genjax_models.commands.check_device

Every estimator meets its oracle (`genjax_models.commands.oracles`) at float32, at what the device does by default (TF32 on recent
GPUs, bfloat16 on a TPU) and at bfloat16. How many bits a product really keeps is measured first, since a device may do
better than it is asked to, and CPUs do; a precision that keeps as many as one before is not checked again. The bits
decide how far an estimator may be off, beside five standard errors where it draws, and rounding in float32. What asks
for float32 by itself (MMD, moments, Parzen windows) is given no more leave at lower precisions. The exit status is 1 if
an estimator is off or does not run.

On 2 cores of an AMD EPYC (jax 0.10.2, CPU), 2026-11-21: 39 of 39 are right, in 34 s of processor time. No accelerator
has been checked yet.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import whole

if TYPE_CHECKING:
    from genjax_models.commands.oracles import Check

# Bits of the significand that a product of matrices keeps, and the names of formats that have so many.
FORMATS = {24: "float32", 11: "TF32 or float16", 8: "bfloat16"}
STANDARD_ERRORS = 5  # of one number: a false alarm in 1.7 million
ROUNDING = 2e-5  # of float32, relative to the larger of 1 and what is estimated


@dataclasses.dataclass(frozen=True)
class Options:
    """Check the estimators on this device against exact values, at each precision."""

    draws: int = 20_000
    """Of each random estimate: more see smaller faults."""

    def __post_init__(self):
        whole(100, draws=self.draws)


class Found(NamedTuple):
    """Of the number of an estimate that is furthest off for what is allowed; `fault` is why there is none."""

    name: str
    value: float
    exact: float
    allowed: float
    fault: str = ""

    @property
    def error(self) -> float:
        """|value - exact|."""
        return abs(self.value - self.exact)

    @property
    def right(self) -> bool:
        """Whether the value is as near as it should be; one that is not a number is not."""
        return self.error <= self.allowed


def look(check: Check, draws: int, bits: int) -> Found:
    """Runs one check where products of matrices keep so many bits."""
    import jax
    import numpy as np

    exact = np.ravel(check.exact)
    try:
        samples = np.asarray(check.estimate(draws), np.float64)
    except jax.errors.JaxRuntimeError as error:  # what this device has no code for, or no memory
        return Found(check.name, np.nan, exact[0], np.nan, str(error).splitlines()[0])
    samples = samples.reshape(len(samples), -1)
    if samples.shape[1:] != exact.shape:
        raise ValueError(f"{check.name}: estimates of {samples.shape[1]} numbers, of which {exact.size} are known")
    value, allowed = samples.mean(axis=0), ROUNDING * np.maximum(1, np.abs(exact)) + check.products * 2.0**-bits
    if len(samples) > 1:
        allowed = allowed + STANDARD_ERRORS * samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    worst = np.argmax(np.nan_to_num(np.abs(value - exact) / allowed, nan=np.inf))
    return Found(check.name, value[worst], exact[worst], allowed[worst])


def precisions(platform: str) -> dict[str, str]:
    """What is asked for -> jax's name of it, of which "bfloat16" means what is fastest: on a GPU that is TF32."""
    return {
        "float32": "highest",
        "default": "default",
        "bfloat16": "BF16_BF16_F32" if platform == "gpu" else "bfloat16",
    }


def bits_kept() -> int | None:
    """Bits that a product of matrices keeps, at the precision that is set; None if fewer than bfloat16 has.

    Rounding both factors to p bits leaves a relative error of about 2^-p / 2, whatever the length of the sums.
    """
    import jax.numpy as jnp
    import numpy as np

    a, b = (np.random.RandomState(seed).randn(512, 512).astype(np.float32) for seed in (0, 1))
    exact = a.astype(np.float64) @ b
    error = np.linalg.norm(np.asarray(jnp.matmul(a, b), np.float64) - exact) / np.linalg.norm(exact)
    return next((bits for bits in FORMATS if error < 2.0 ** -min(bits, 19)), None)  # sums in float32 round too


def table(found: Iterable[Found]) -> str:
    """One row for each check."""
    lines = [f"    {'':52}{'value':>14}{'exact':>14}{'error':>10}{'allowed':>10}"]
    for row in found:
        verdict = "right" if row.right else f"WRONG {row.fault}"
        lines.append(
            f"    {row.name:52}{row.value:>14.6g}{row.exact:>14.6g}{row.error:>10.1e}{row.allowed:>10.1e}  {verdict}"
        )
    return "\n".join(lines)


def check_device(options: Options) -> bool:
    """Runs and prints all checks at all precisions.

    Returns:
      Whether all are right.
    """
    import jax

    from genjax_models.commands.oracles import checks

    started, off, count, seen = time.perf_counter(), [], 0, {}
    device = jax.devices()[0]
    print(f"{device.device_kind} ({device.platform}), jax {jax.__version__}")
    for asked, name in precisions(device.platform).items():
        with jax.default_matmul_precision(name):
            bits = bits_kept()
            count += 1
            if bits is None:
                print(f"\n{asked}: products of matrices are WRONG")
                off.append(f"products of matrices at {asked}")
                continue
            print(f"\n{asked}: products of matrices keep {bits} bits, as {FORMATS[bits]} does", flush=True)
            if bits in seen:
                print(f"    and so they did at {seen[bits]}")
                continue
            seen[bits], found = asked, [look(check, options.draws, bits) for check in checks()]
        print(table(found), flush=True)
        off += [f"{row.name} at {asked}" for row in found if not row.right]
        count += len(found)
    print(f"\n{count - len(off)} of {count} are right, in {time.perf_counter() - started:.0f} s")
    for name in off:
        print(f"WRONG: {name}")
    return not off


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        right = check_device(parse(Options, arguments, "python -m genjax_models.commands.check_device", Options.__doc__))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
