"""Everything that is to be known of a new accelerator, in order of value, within a given time.

python -m experiments.accelerator --minutes 8 --to runs/accelerator

It needs no network, no virtual environment and no make: it measures with the interpreter that runs it. PyTorch is
measured too if it is installed and sees the same device. Each part runs in another process, with a time limit of its
own. A part that fails, crashes or hangs is reported in one line, and the next part begins. After each part,
`accelerator.json` and the page `accelerator.md` in the folder hold all results so far; `log.txt` holds the output of
the processes. A second call with the same folder goes on: it measures the parts that are missing.

The kinds of parts; `plan.parts` has their order:

1. The device, the versions, and two ceilings: a large copy, and a large matrix product at each precision.
2. Every estimator against its exact value, at each precision (`genjax-models check-device`).
3. Steps per second, fraction of the ceiling and memory of the contests of `experiments.benchmarks.contests`, and the
   hours that the schedule of Burda et al. (2015) would take; then of models that unfold, energies and BigGAN
   (`systems`), whose operations are not counted.
4. The same steps in turns with PyTorch: eager, CUDA graphs, torch.compile.
5. The forms of the compiled loop (`genjax_models.training.loop`) in turns, with the kernels of a step, counted in a
   profile, and the difference of the states that the forms end with.
6. The contract table of the tests on the device, at each precision. It needs pytest and the folder tests/.
7. Eight seeds as one program, and one seed.

The goals on a GPU: at least 3 x the speed of torch.compile with CUDA graphs on small models, at least half of the
bfloat16 ceiling on the DCGAN at 64 x 64 x 3, and every estimator right. The page says for each whether it was met.

No accelerator has been measured yet. On a CPU the script measures small cases.
"""
