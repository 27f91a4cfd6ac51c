"""Judging what was learned: pure functions whose figures do not depend on how the work was chunked."""
