"""distrax as the type checker sees it: its annotations name unions that no array of JAX is."""

from typing import Any

def __getattr__(name: str) -> Any: ...
