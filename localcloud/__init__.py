"""The AWS of this machine: ministack extended with what Ductwork uses and it lacks. Never talks to AWS."""
