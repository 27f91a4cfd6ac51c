"""One file per experiment: its config, its command, its record of results, and a few lines of wiring."""
