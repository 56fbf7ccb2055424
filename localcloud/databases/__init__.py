"""Real database servers behind the records of RDS."""
