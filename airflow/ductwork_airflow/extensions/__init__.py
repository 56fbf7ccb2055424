"""What Airflow itself loads, by the paths in its configuration: bundle class, login, mail, secrets backend, plugin.

Never starts a process and never talks to CodeDeploy or Auto Scaling.
"""
