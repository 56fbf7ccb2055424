"""An ECS whose tasks are processes of this machine, started from the layers that were pushed to the local ECR.

Pure: checks, capacity, strategy, breaker. API: api and api_*. Running: scheduler, runner, containers, images.
"""
