"""A CodeDeploy for EC2 that runs revisions on local instances. Semantics: the agent's source and the user
guide.

Pure: appspec, health, plan. On an instance: bundle, hooks, agent. In the service: store, engine, api_*.
"""
