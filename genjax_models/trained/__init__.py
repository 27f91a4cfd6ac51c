"""Trained models that the package ships: their systems, and `pretrained`, which loads one."""
