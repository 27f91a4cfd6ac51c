"""The game v(a, b) = a b, where a descends and b ascends (20.10.4): gradient descent may never find an equilibrium.

python -m experiments.studies.bilinear_game

                                                    exact         least       largest
simultaneous   factor of the radius              1.044031      1.044031      1.044031
alternating    a^2 + b^2 - eta a b               1.700000      1.700000      1.700001
continuous     radius                            1.414214      1.412095      1.414219
continuous     distance from the exact point     0.000000      0.000000      0.002119
extragradient  factor of the radius              0.958175      0.958175      0.958175
optimistic     factor of the radius              0.948683      0.948683      0.948683
consensus      factor of the radius              0.761577      0.761577      0.761577

200 steps of rate 0.3, in float32, 5 s with imports and the picture (pictures/bilinear_game.png). 2 cores of AMD EPYC
shared with other work (jax 0.10.2, CPU), 2026-11-21

With rate eta, a step from (a, b) of radius r = sqrt(a^2 + b^2) is a linear map, so its properties are known:

- simultaneous moves: r grows by the factor sqrt(1 + eta^2), at any rate;
- alternating moves, a first: a^2 + b^2 - eta a b is constant. The orbit is an ellipse, and a step turns by
  arccos(1 - eta^2 / 2);
- continuous time, da/dt = -b, db/dt = a: a circle. The picture draws it as alternating moves with a rate that is
  `refinement` times smaller. They lie within this rate, times r, of the circle.

Three cures, each with simultaneous moves, shrink the radius by a constant factor:

- extragradient (Korpelevich, 1976), gradients at the point after a step: sqrt(1 - eta^2 + eta^4);
- optimistic gradients (Daskalakis et al., 2018), 2 g_t - g_{t-1} instead of g_t, after the first steps:
  sqrt((1 + sqrt(1 - 4 eta^2)) / 2);
- consensus (Mescheder et al., 2017), each loss plus gamma / 2 times the squared norm of both gradients:
  sqrt((1 - eta gamma)^2 + eta^2).
"""
