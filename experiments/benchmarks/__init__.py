"""How fast, beside whom: each file measures one thing against a named peer in one run; its docstring is the record."""
