"""The one list of ministack's private names that we build on, and the check that they exist.

ministack gives no stability promise for them: requirements.in pins its version, and this check turns a
mismatch into one clear sentence at start-up instead of an odd failure later. Changes nothing.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version

from localcloud.base.problems import Refused

SUPPORTED = "1.5.33"
NAMES: dict[str, tuple[str, ...]] = {
    "ministack.app": (
        "SERVICE_HANDLERS",
        "SERVICE_REGISTRY",
        "_build_persistence_save_dict",
        "_get_module",
        "_loaded_modules",
        "_routing_params",
        "_state_map",
        "app",
    ),
    "ministack.core.concurrency": ("spawn_background",),
    "ministack.core.iam_actions": (
        "SERVICE_TO_IAM_NAMESPACE",
        "extract_iam_action",
        "extract_resource_arn",
        "s3_additional_checks",
    ),
    "ministack.core.persistence": (
        "PERSIST_STATE",
        "STATE_DIR",
        "_json_default",
        "_state_format_version",
    ),
    "ministack.core.responses": (
        "AccountRegionScopedDict",
        "get_account_id",
        "get_region",
        "request_scope",
    ),
    "ministack.core.router": (
        "SERVICE_PATTERNS",
        "extract_access_key_id",
    ),
    "ministack.services.acm": (
        "_certificates",
        "_request_certificate",
    ),
    "ministack.services.alb": (
        "_lbs",
        "_listeners",
        "_rules",
        "_tags",
        "_target_group_full_name_from_arn",
        "_targets",
        "_tgs",
    ),
    "ministack.services.autoscaling": (
        "_ACTION_MAP",
        "_asgs",
        "_delete_asg",
        "_error",
        "_hook_record",
        "_hooks",
        "_launch_configs",
        "_member_xml",
        "_p",
        "_parse_member_list",
        "_parse_nested",
        "_reconcile_instances",
        "_xml",
    ),
    "ministack.services.backup": (
        "_create_selection",
        "_delete_selection",
    ),
    "ministack.services.budgets": (
        "_budget_arn",
        "_create_budget",
        "_delete_budget",
        "_tags",
        "_update_budget",
    ),
    "ministack.services.cloudformation": (
        "_ACTION_HANDLERS",
        "_change_sets",
        "_stack_events",
        "_stacks",
    ),
    "ministack.services.cloudformation.changesets": (
        "_find_change_set",
        "_resolve_props_for_diff",
    ),
    "ministack.services.cloudformation.drift": ("_DRIFT_READERS",),
    "ministack.services.cloudformation.engine": (
        "CfnLoader",
        "_NO_VALUE",
        "_apply_transforms",
        "_evaluate_conditions",
        "_parse_template",
        "_resolve_parameters",
        "_resolve_refs",
        "_topological_sort",
        "validate_template_support",
    ),
    "ministack.services.cloudformation.helpers": (
        "_p",
        "_resolve_document",
        "_resolve_template",
    ),
    "ministack.services.cloudformation.provisioners": (
        "_DEFERRED_PREDECESSOR_DELETES",
        "_NAME_SEED",
        "_REPLACING_PROPERTIES",
        "_RESOURCE_HANDLERS",
        "_RETAIN_REPLACED",
        "_S3_BUCKET_CONFIGURATIONS",
        "_STACK_TAG_PROPERTY",
        "_asg_create",
        "_asg_delete",
        "_asg_update",
        "_check_nested_stack_capabilities",
        "_cw_metric_alarm_record",
        "_delete_predecessor",
        "_ec2_sg_permissions",
        "_elbv2_listener_create",
        "_elbv2_listener_delete",
        "_elbv2_listener_update",
        "_iam_ip_create",
        "_iam_ip_update",
        "_inherited_capabilities",
        "_physical_name",
        "_rds_db_cluster_attrs",
        "_rds_db_cluster_create",
        "_rds_db_cluster_delete",
        "_rds_db_cluster_snapshot",
        "_rds_db_cluster_update",
        "_rds_db_instance_attrs",
        "_rds_db_instance_create",
        "_rds_db_instance_delete",
        "_rds_db_instance_snapshot",
        "_rds_db_instance_update",
        "_s3_create",
        "_s3_update",
        "_sm_secret_create",
        "_sm_secret_delete",
        "_sm_secret_string",
        "_sm_secret_update",
        "_tag_map",
    ),
    "ministack.services.cloudformation.stacks": (
        "_add_event",
        "_delete_stack_async",
        "_deploy_stack_async",
        "_diff_resources",
        "_runs_on_worker_thread",
        "_stack_tags_changed",
    ),
    "ministack.services.cloudtrail": (
        "_create_trail",
        "_delete_trail",
        "_put_event_selectors",
        "_start_logging",
        "_stop_logging",
        "_trail_arn",
        "_trail_tags",
        "_update_trail",
    ),
    "ministack.services.cloudwatch": (
        "TWO_WEEKS_SECONDS",
        "_alarm_history",
        "_alarms",
        "_composite_alarms",
        "_composite_triggers",
        "_dashboards",
        "_resource_tags",
        "get_state",
    ),
    "ministack.services.cloudwatch_logs": (
        "_create_log_group",
        "_create_log_stream",
        "_log_groups",
        "_log_records",
        "_put_log_events",
    ),
    "ministack.services.ec2": (
        "_ACTION_MAP",
        "_DEFAULT_SUBNET_ID",
        "_addresses",
        "_allocate_address",
        "_create_flow_logs",
        "_create_managed_prefix_list",
        "_create_nat_gateway",
        "_delete_flow_logs",
        "_discard_instance_records",
        "_error",
        "_flow_logs",
        "_instance_xml",
        "_instances",
        "_launch_instances_internal",
        "_launch_templates",
        "_nat_gateways",
        "_p",
        "_parse_filters",
        "_parse_member_list",
        "_prefix_lists",
        "_release_address",
        "_resolve_iam_instance_profile",
        "_security_groups",
        "_strip_descriptions",
        "_subnets",
        "_tags",
        "_volumes",
        "_vpce_fields_xml",
        "_vpcs",
        "_xml",
    ),
    "ministack.services.ecr": ("_layer_blobs", "_repositories", "_resolve_manifest"),
    "ministack.services.elasticache": ("_replication_groups",),
    "ministack.services.athena": ("_create_named_query", "_delete_named_query", "_workgroups"),
    "ministack.services.firehose": ("_put_record_batch", "_stream_arn", "_streams"),
    "ministack.services.iam": (
        "_aws_managed_policies",
        "_instance_profiles",
        "_lookup_policy",
        "_make_aws_managed_record",
        "_oidc_providers",
        "_roles",
    ),
    "ministack.services.rds": (
        "_clusters",
        "_db_cluster_snapshots",
        "_instances",
        "_snapshots",
        "_tags",
    ),
    "ministack.services.s3": (
        "S3_NS",
        "_bucket_encryption",
        "_bucket_tags",
        "_bucket_versioning",
        "_buckets",
        "_delete_bucket",
        "_delete_bucket_encryption",
        "_delete_bucket_lifecycle",
        "_delete_bucket_ownership_controls",
        "_put_bucket_encryption",
        "_put_bucket_lifecycle",
        "_put_bucket_ownership_controls",
    ),
    "ministack.services.secretsmanager": ("_secrets", "resolve_secret_string"),
    "ministack.services.servicediscovery": (
        "_deregister_instance",
        "_namespaces",
        "_register_instance",
        "_services",
    ),
    "ministack.services.sns": ("_topics",),
    "ministack.services.sqs": ("_queues",),
    "ministack.services.ssm": ("_PUBLIC_AMI_PARAMETERS", "resolve_parameter_value"),
    "ministack.services.waf": (
        "_associate_web_acl",
        "_associations",
        "_disassociate_web_acl",
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
