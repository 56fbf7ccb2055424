"""What runs on hosts beside Airflow itself: bundle class, settings, start, migration, health, validation."""
