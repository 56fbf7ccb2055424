"""What a release runs once: the check of its DAGs before it, and the migration of the database. Never stays."""
