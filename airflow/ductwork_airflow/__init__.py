"""What runs on Ductwork hosts beside Airflow itself: bundle class, settings, start wrapper, migration, health, validation."""
