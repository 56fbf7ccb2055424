"""Receipts: what a component of Airflow says of itself in the artifact bucket, for the release tool to read."""
