"""Which models infer any subset of pixels from any other (20.10.3): five ways to fill in, and two classifiers.

python -m experiments.multi_prediction --hidden 500 1000 --steps 10000 --evaluate-every 2500   # with each seed 0, 1, 2
python -m experiments.rbm --hidden 500 --steps 80000 --evaluate-every 20000
python -m experiments.vae --latent 16
python -m experiments.any_subset --rbm RUN RUN RUN --multi-prediction RUN RUN RUN --vae RUN RUN RUN

nats per missing pixel              passes     25%     50%     75%     90%     95%      +-
RBM, Gibbs                             150   0.096   0.106   0.129   0.231   0.334   0.004
RBM, mean field                        100   0.109   0.130   0.209   0.424   0.523   0.007
MP-DBM, mean field                       5   0.102   0.109   0.127   0.166   0.201   0.002
VAE, pseudo-Gibbs                      150   0.109   0.117   0.147   0.238   0.321   0.005
VAE, importance                        100   0.116   0.158   0.252   0.411   0.524   0.007
mean pixel                               0   0.263   0.263   0.263   0.263   0.263   0.002
VAE, importance: effective samples             2.1     1.6     1.5     1.8     2.1

class accuracy, %                       0%     25%     50%     75%     90%     95%      +-
MP-DBM                                95.9    95.8    95.5    91.7    77.0    59.2     1.4
MLP, trained with missing pixels      96.5    95.1    94.1    87.6    72.7    57.1     1.4
MLP, trained without                  96.0    93.5    88.9    71.4    43.5    28.7     1.4

The MP-DBM is ahead of Gibbs sweeps of the RBM by -0.0059 +- 0.0005, -0.0035 +- 0.0004, 0.0020 +- 0.0006,
0.0656 +- 0.0022 and 0.1329 +- 0.0027 nats, and ahead of the mask-trained MLP by -0.5 +- 0.4, 0.7 +- 0.4, 1.4 +- 0.6,
4.2 +- 0.7, 4.4 +- 1.1 and 2.1 +- 1.1%.

On all 1,000 test images of mnist10k, binarised, with pixels missing at random; means over three seeds. +- is the
standard error over images and seeds, of a row the largest; differences are paired. The Boltzmann machines have equal
budgets: 7.4 to 8.0 minutes of processor time each. The VAE has 1.1 minutes: with 70,000 steps in place of 10,000, as
long as the others, it memorises and has a bound of -104.99 +- 1.12 in place of -100.44 +- 0.96 on test images (seed 0).
An MLP has at most 1.2 minutes: six are trained within the time of this study.

Up to half of the pixels missing, Gibbs sweeps of the RBM fill in best. From three quarters on the MP-DBM is ahead, with
5 passes in place of 150; at 95% only the MP-DBM beats the mean pixel. With all pixels its classes have an error of
4.1%, level with both MLPs within the errors (3.5% and 4.0%); it is ahead of the mask-trained MLP from half on, at 95%
by two standard errors. Importance sampling, whose encoder sees 0 at missing pixels, rests on about two draws, and
breaks down from half on; pseudo-Gibbs sweeps do not. 7 minutes of processor time, AMD EPYC (jax 0.10.2, CPU),
2026-11-29.
"""
