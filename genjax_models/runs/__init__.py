"""The only rooms that touch disk, screen or clock."""
