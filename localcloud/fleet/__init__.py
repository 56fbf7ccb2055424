"""The local EC2 and Auto Scaling: instances as directories, their processes, metadata, lifecycle and groups."""
