//! Airflow over its REST API.
