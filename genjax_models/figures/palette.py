"""The colours of all plots, in figures, studies and notebooks. Imports nothing."""

INK, GREY, PALE = "#1f2933", "#7b8794", "#c3ccd5"
BLUE, ORANGE, GREEN, PINK = "#2364aa", "#e07a1f", "#009e73", "#cc79a7"
SKY, GOLD, RED, PURPLE = "#56b4e9", "#b8860b", "#c1121f", "#6a3d9a"
COLORS = (BLUE, ORANGE, GREEN, PINK, SKY, GOLD, INK)  # for the colour blind (Okabe and Ito, 2008)
CLASS_COLORS = (*COLORS, RED, PURPLE, GREY)  # of ten classes
