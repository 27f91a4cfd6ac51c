"""Importance sampling in one picture (Trick 2 of the Torralba-Isola-Freeman chapter), on a VAE with two latents.

python -m experiments.vae --run-dir runs/vae
python -m experiments.studies.importance_sampling runs/vae

For one test image x, p(x) = E[w] with the weight w = p(z) p(x | z) / q(z), z ~ q, and three proposals q:

  prior       (1.11): the weights are p(x | z), and most of them are close to zero;
  encoder     (1.16): the learned q(z | x);
  posterior   (1.17): p(z | x), which a grid over two dimensions gives. Every weight is p(x).

A mean of k weights has the relative variance R / k, with R = Var(w) / p(x)^2. The trapezoidal rule gives p(x) on a grid
around the posterior, and again on the whole plane, where the grid is too coarse for the last digits.

R of the first test image of mnist10k (10,000 steps, seed 0; log p(x) = -111.311 nats), by 100,000 draws per proposal:
prior 580, encoder 13.9, posterior 0.0014. The prior has 557 by quadrature; its estimate from 1,000 draws is 0.2 nats
low and has a standard deviation of 1.1. The mean of the encoder lies beside that of the posterior. What is left of the
posterior is the variation of p(z | x) within a cell of the grid. The picture has 1,000 draws of the prior, and marks
each draw with p(x | z) of at least 1% of the largest. 20 s of processor time, one busy core of an AMD EPYC with AVX-512
(jax 0.10.2, CPU), 2026-11-29
"""
