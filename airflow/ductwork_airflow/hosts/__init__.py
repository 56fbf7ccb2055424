"""What runs around Airflow on hosts of engine `ec2`: set up, start, watch, drain. Never decides how many there are."""
