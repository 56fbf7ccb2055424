"""The one list of ministack's private names that we build on, and the check that they exist.

ministack gives no stability promise for them: requirements.in pins its version, and this check turns a
mismatch into one clear sentence at start-up instead of an odd failure later. Changes nothing.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version

from localcloud.problems import Refused

SUPPORTED = "1.5.33"
NAMES: dict[str, tuple[str, ...]] = {
    "ministack.app": (
        "SERVICE_HANDLERS",
        "SERVICE_REGISTRY",
        "_loaded_modules",
        "_state_map",
        "_get_module",
        "app",
    ),
    "ministack.core.persistence": ("_json_default", "_state_format_version", "STATE_DIR", "PERSIST_STATE"),
    "ministack.core.responses": ("AccountRegionScopedDict", "request_scope", "get_account_id", "get_region"),
    "ministack.core.concurrency": ("spawn_background",),
    "ministack.core.router": ("SERVICE_PATTERNS",),
    "ministack.services.autoscaling": ("_asgs", "_reconcile_instances", "_delete_asg", "_ACTION_MAP"),
    "ministack.services.ec2": ("_launch_templates",),
    "ministack.services.iam": ("_instance_profiles",),
    "ministack.services.rds": ("_instances",),
    "ministack.services.secretsmanager": ("_secrets",),
    "ministack.services.s3": ("_buckets", "_delete_bucket", "_bucket_tags", "_bucket_versioning", "S3_NS"),
    "ministack.services.ssm": ("_PUBLIC_AMI_PARAMETERS",),
    "ministack.services.cloudformation": ("_stacks", "_stack_events", "_change_sets"),
    "ministack.services.cloudformation.engine": ("_evaluate_conditions",),
    "ministack.services.cloudformation.stacks": (
        "_runs_on_worker_thread",
        "_deploy_stack_async",
        "_delete_stack_async",
        "_add_event",
    ),
    "ministack.services.cloudformation.provisioners": (
        "_RESOURCE_HANDLERS",
        "_REPLACING_PROPERTIES",
        "_S3_BUCKET_CONFIGURATIONS",
        "_sm_secret_string",
        "_sm_secret_create",
        "_physical_name",
        "_delete_predecessor",
        "_check_nested_stack_capabilities",
        "_inherited_capabilities",
        "_cw_metric_alarm_record",
    ),
}


def check_ministack() -> None:
    """Refuse to start on a ministack that lacks a name we extend."""
    try:
        found = version("ministack")
    except PackageNotFoundError:
        raise Refused(
            "ministack is not installed in this Python",
            "install localcloud/requirements.lock into a virtual environment of its own",
        ) from None
    missing = []
    for module_name, names in NAMES.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            missing.append(module_name)
            continue
        missing += [f"{module_name}.{name}" for name in names if not hasattr(module, name)]
    if missing:
        raise Refused(
            f"ministack {found} is not supported (tested with {SUPPORTED}): it lacks "
            f"`{'`, `'.join(missing)}`",
            "install the versions of localcloud/requirements.lock",
        )
