"""Takes the place of `ductwork_airflow/images/health.py` in images of the tests: what runs is healthy."""
