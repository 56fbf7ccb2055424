"""Tests of the local cloud: boto3 against a `serve` of its own, and the pure parts alone."""
