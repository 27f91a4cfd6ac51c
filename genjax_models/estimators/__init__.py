"""Mathematics: arrays and distributions in, per-example arrays out. No networks, no optimizers, no files."""
