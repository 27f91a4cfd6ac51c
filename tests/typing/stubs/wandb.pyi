"""What is used of the package, which may be absent; all of it is `Any`."""

from typing import Any

def __getattr__(name: str) -> Any: ...
