"""Effect of the batch size on the MMD, and on a generator that learns by it (20.10.5).

python -m experiments.studies.mmd_batch_size

           1,000 MMD^2, exactly 14.35               learned variance, of 1                   1,000 MMD^2 learned   step
 batch           biased   exact         unbiased          biased    exact        unbiased     biased  unbiased       ms
     8  158.97 +- 74.71  167.86    4.70 +- 77.65  0.831 +- 0.063    0.818  1.020 +- 0.070      3.634     0.894     0.05
    16   89.13 +- 47.65   91.11   12.37 +- 48.81  0.912 +- 0.052    0.908  1.007 +- 0.055      1.128     0.496     0.07
    32   52.60 +- 27.69   52.73   14.31 +- 27.71  0.962 +- 0.042    0.953  1.009 +- 0.043      0.446     0.318     0.07
    64   35.49 +- 17.88   33.54   16.27 +- 18.02  0.978 +- 0.029    0.977  1.002 +- 0.029      0.216     0.175     0.09
   128   24.57 +- 11.10   23.95   15.01 +- 11.11  0.989 +- 0.022    0.988  1.001 +- 0.022      0.140     0.129     0.11
   256   19.79 +-  6.82   19.15   15.00 +-  6.82  0.994 +- 0.011    0.994  0.999 +- 0.011      0.065     0.062     0.29
   512   17.19 +-  4.81   16.75   14.79 +-  4.81  0.996 +- 0.006    0.997  0.999 +- 0.006      0.028     0.027     1.15
 1,024   15.50 +-  3.40   15.55   14.30 +-  3.40  0.998 +- 0.005    0.999  1.000 +- 0.005      0.011     0.011     5.93
 2,048   14.98 +-  2.22   14.95   14.39 +-  2.22                    0.999                                         18.76
 4,096   14.54 +-  1.58   14.65   14.24 +-  1.58                    1.000                                         70.17

Means and standard deviations over 200 estimates, and over 8 generators after 500 steps of Adam. The two columns "exact"
have the expectation of the biased estimator, and the variance that minimises this expectation. The time of a step is in
ms of processor time. 134 s of processor time in all; one core of an AMD EPYC with AVX-512 (jax 0.10.2, CPU),
2026-11-29. The picture is pictures/mmd_batch_size.png.

The book is right about the biased estimator: batches of 8 examples teach 83% of the variance, 64 examples 98%, 1,024
examples all of it, and theory predicts these shares. The book is wrong about the unbiased estimator: at any batch size
it teaches the variance of the data, within its noise. The noise is the same for both estimators, and falls with the
batch size. From 256 examples on, a step costs four times as much for twice as many examples.

Data are x ~ N(0, I) of two dimensions, the generator is affine in z ~ N(0, I), and the kernel is Gaussian. So the MMD
between data and samples of any such generator is known, and so is the expectation of both estimators. The biased
estimator's expectation is too large by (1 - E k(y, y')) / n for n samples y. A generator lowers this term by making its
samples alike: "when the batch size is too small, moment matching underestimates the true amount of variation". The line
in the picture is the variance that minimises the expectation. The unbiased estimator has no such term at any batch
size, but it has the noise.
"""
