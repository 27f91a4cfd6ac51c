"""Plots, and pictures with captions for reports: arrays in, PNG out."""
