"""Benchmarks. Each measures one thing in one run, mostly against a named peer. Its docstring is the record."""
