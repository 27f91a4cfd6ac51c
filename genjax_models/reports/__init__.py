"""The final evaluation of a run, its report, and the comparison of runs."""
