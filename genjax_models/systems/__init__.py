"""What experiments are composed of: groups of config fields, and one wiring for each kind of system."""
