"""Benchmarks. Each measures one thing in one run, most against a named peer; its docstring is the record."""
