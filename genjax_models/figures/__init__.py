"""Plots and captions: arrays in, PNG out."""
