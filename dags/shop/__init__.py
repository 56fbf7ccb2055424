"""Helpers of the example DAGs. They travel in the bundle, so each run uses the version it started with."""
