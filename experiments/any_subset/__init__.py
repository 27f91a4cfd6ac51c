"""Which models infer any subset of pixels from any other (20.10.3): five ways to fill in, and two classifiers.

python -m experiments.any_subset --rbm runs/rbm --multi-prediction runs/multi_prediction --vae runs/vae16

nats per missing pixel            passes     25%     50%     75%     90%     95%
RBM, Gibbs                           150   0.104   0.111   0.130   0.197   0.273
RBM, mean field                      100   0.107   0.119   0.158   0.331   0.401
MP-DBM, mean field                     5   0.107   0.114   0.129   0.166   0.201
VAE, pseudo-Gibbs                    150   0.110   0.119   0.148   0.236   0.318
VAE, importance                      100   0.117   0.158   0.255   0.408   0.517
mean pixel                             0   0.263   0.263   0.263   0.263   0.263

class accuracy, %                     0%     25%     50%     75%     90%     95%
MP-DBM                              95.3    94.3    93.7    91.2    76.8    58.4
MLP, trained with missing pixels    96.9    96.3    93.3    87.3    71.3    57.3
MLP, trained without                94.7    90.8    83.7    64.7    40.8    24.8

On all 1,000 test images of mnist10k, binarised, with pixels missing at random. The runs are the records of the
systems (seed 0). Budgets differ: 12,000 steps of the RBM, 10,000 of the VAE, 6,000 of the MP-DBM, which takes longest.
Up to half of the pixels missing, Gibbs sweeps of the RBM fill in best (paired: 0.0024 +- 0.0004 ahead at 50%). At three
quarters the two are level. At 90% the MP-DBM is 0.0309 +- 0.0020 ahead, with 5 passes in place of 150. Its classes are
ahead of the mask-trained MLP's at 75% and 90%, level at 50% and 95%, and behind with all pixels. The VAE by importance
sampling breaks down from half on, by pseudo-Gibbs sweeps it does not. At 95% only the MP-DBM beats the mean pixel.
4 minutes on one busy core, AMD EPYC (jax 0.10.2, CPU), 2026-11-29.
"""
