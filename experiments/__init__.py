"""One file for each experiment: its config, its command, its result, and a few lines of wiring."""
