"""AWS::Budgets::Budget, AWS::CloudTrail::Trail, AWS::Backup::BackupSelection and AWS::WAFv2::WebACLAssociation, on
ministack's own services, which have the API but not the resource type. Nothing is spent, logged, backed up or
filtered.
"""

from __future__ import annotations

import copy
import json

from ministack.services import alb, backup, budgets, cloudtrail, waf
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import draw_name, register, tags_of, truth
from localcloud.emulator.shapes import Answer, Made


def _checked(resource_type: str, answer: Answer) -> dict:
    """The answer's document; a refusal becomes the reason of the resource's failure."""
    status, _, body = answer
    document = json.loads(body) if body else {}
    if status >= 300:
        reason = document.get("message") or document.get("Message") or document
        raise ValueError(f"{resource_type} was refused: {reason}")
    return document


# -- budgets
def _budget(props: dict, name: str) -> dict:
    budget = copy.deepcopy(props.get("Budget") or {})
    budget["BudgetName"] = name
    if budget.get("BudgetLimit"):
        budget["BudgetLimit"]["Amount"] = str(budget["BudgetLimit"]["Amount"])
    return budget


def _budget_create(logical_id: str, props: dict, stack_name: str) -> Made:
    given = (props.get("Budget") or {}).get("BudgetName")
    if not given:
        draw_name(props, "BudgetName")
    name = given or provisioners._physical_name(stack_name, logical_id, max_len=100)
    subscribed = copy.deepcopy(props.get("NotificationsWithSubscribers") or [])
    for entry in subscribed:
        entry["Notification"]["Threshold"] = float(entry["Notification"]["Threshold"])
    request = {
        "Budget": _budget(props, name),
        "NotificationsWithSubscribers": subscribed,
        "ResourceTags": tags_of(props, ("ResourceTags",)),
    }
    _checked("AWS::Budgets::Budget", budgets._create_budget(request))
    return name, {}


def _budget_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    renamed = (new.get("Budget") or {}).get("BudgetName") not in (None, physical_id)
    if renamed or old.get("NotificationsWithSubscribers") != new.get("NotificationsWithSubscribers"):
        if (new.get("Budget") or {}).get("BudgetName") == physical_id:
            raise ValueError(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {physical_id} and update the stack again."
            )
        provisioners._NAME_SEED.set("")
        return _budget_create(logical_id or physical_id, new, stack_name)
    _checked("AWS::Budgets::Budget", budgets._update_budget({"NewBudget": _budget(new, physical_id)}))
    budgets._tags[budgets._budget_arn(physical_id)] = {
        tag["Key"]: tag["Value"] for tag in tags_of(new, ("ResourceTags",))
    }
    return physical_id, {}


def _budget_delete(physical_id: str, props: dict) -> None:
    budgets._delete_budget({"BudgetName": physical_id})


# -- trails
TRAIL_FLAGS = (
    "IncludeGlobalServiceEvents",
    "IsMultiRegionTrail",
    "EnableLogFileValidation",
    "IsOrganizationTrail",
)
TRAIL_TEXTS = ("S3BucketName", "S3KeyPrefix", "SnsTopicName", "KMSKeyId", "CloudWatchLogsLogGroupArn",
               "CloudWatchLogsRoleArn")  # fmt: skip


def _trail_request(props: dict, name: str) -> dict:
    request: dict = {"Name": name}
    request.update({key: truth(props[key]) for key in TRAIL_FLAGS if key in props})
    request.update({key: props.get(key) or "" for key in TRAIL_TEXTS})
    request["KmsKeyId"] = request.pop("KMSKeyId")
    return request


def _trail_put(name: str, props: dict) -> Made:
    kind = "AWS::CloudTrail::Trail"
    _checked(kind, cloudtrail._update_trail(_trail_request(props, name)))
    arn = cloudtrail._trail_arn(name)
    for key in ("EventSelectors", "AdvancedEventSelectors"):
        if props.get(key):
            _checked(kind, cloudtrail._put_event_selectors({"TrailName": name, key: props[key]}))
    change = cloudtrail._start_logging if truth(props.get("IsLogging")) else cloudtrail._stop_logging
    _checked(kind, change({"Name": name}))
    cloudtrail._trail_tags[arn] = {tag["Key"]: tag["Value"] for tag in tags_of(props)}
    return name, {"Arn": arn, "SnsTopicArn": ""}


def _trail_create(logical_id: str, props: dict, stack_name: str) -> Made:
    draw_name(props, "TrailName")
    name = props.get("TrailName") or provisioners._physical_name(stack_name, logical_id, max_len=128)
    _checked("AWS::CloudTrail::Trail", cloudtrail._create_trail(_trail_request(props, name)))
    return _trail_put(name, props)


def _trail_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    return _trail_put(physical_id, new)


def _trail_delete(physical_id: str, props: dict) -> None:
    cloudtrail._trail_tags.pop(cloudtrail._trail_arn(physical_id), None)
    cloudtrail._delete_trail({"Name": physical_id})


# -- backup selections
def _selection_create(logical_id: str, props: dict, stack_name: str) -> Made:
    """Ref is `<selection id>_<plan id>`, as on AWS."""
    plan = props["BackupPlanId"]
    made = _checked(
        "AWS::Backup::BackupSelection",
        backup._create_selection(plan, {"BackupSelection": props.get("BackupSelection") or {}}),
    )
    name = f"{made['SelectionId']}_{plan}"
    return name, {"Id": name, "SelectionId": made["SelectionId"], "BackupPlanId": plan}


def _selection_delete(physical_id: str, props: dict) -> None:
    selection, _, plan = physical_id.partition("_")
    backup._delete_selection(plan, selection)


# -- web firewalls
def _association_create(logical_id: str, props: dict, stack_name: str) -> Made:
    resource, acl = props["ResourceArn"], props["WebACLArn"]
    if ":loadbalancer/" in resource and resource not in alb._lbs:
        raise ValueError(f"AWS WAF couldn't perform the operation: {resource} does not exist.")
    request = {"ResourceArn": resource, "WebACLArn": acl}
    _checked("AWS::WAFv2::WebACLAssociation", waf._associate_web_acl(request))
    return f"{acl}|{resource}", {}


def _association_delete(physical_id: str, props: dict) -> None:
    if waf._associations.get(props["ResourceArn"]) == props["WebACLArn"]:
        waf._disassociate_web_acl({"ResourceArn": props["ResourceArn"]})


def install() -> None:
    register("AWS::Budgets::Budget", _budget_create, _budget_delete, _budget_update)
    register("AWS::CloudTrail::Trail", _trail_create, _trail_delete, _trail_update)
    register("AWS::Backup::BackupSelection", _selection_create, _selection_delete)
    register("AWS::WAFv2::WebACLAssociation", _association_create, _association_delete)
