"""Sessions in containers: the end that runs the command, and the stand-in for AWS's plugin. Standard library only."""
