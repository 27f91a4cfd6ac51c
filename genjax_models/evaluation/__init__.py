"""Evaluation: pure functions whose figures do not depend on chunks or batch sizes."""
