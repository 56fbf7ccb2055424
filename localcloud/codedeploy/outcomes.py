"""How a deployment ends, and in which words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.codedeploy.health import Gate

INTERRUPTED = "The local cloud was stopped while the deployment ran."
NO_INSTANCES = (
    "The deployment failed because no instances were found for your deployment group. Check your deployment "
    "group settings to make sure the tags for your EC2 instances or Auto Scaling groups correctly identify the "
    "instances you want to deploy to, and then try again."
)
HEALTH = (
    "The overall deployment failed because too many individual instances failed deployment, too few healthy "
    "instances are available for deployment, or some instances in your deployment group are experiencing "
    "problems."
)


@dataclass(frozen=True)
class Outcome:
    status: str
    code: str = ""
    message: str = ""


def of(gate: Gate) -> Outcome:
    """What the instances make of a deployment that nobody stopped."""
    if gate.success:
        return Outcome("Succeeded")
    constraints_invalid = gate.minimum >= gate.total and not gate.failed
    return Outcome(
        "Failed", "HEALTH_CONSTRAINTS_INVALID" if constraints_invalid else "HEALTH_CONSTRAINTS", HEALTH
    )


def stopped(interrupted: bool) -> Outcome:
    message = INTERRUPTED if interrupted else "Deployment was manually stopped."
    return Outcome("Stopped", "MANUAL_STOP", message)


def out_of_time(hours: float) -> Outcome:
    return Outcome("Failed", "TIMEOUT", f"The deployment timed out: it took more than {hours:g} hours.")
