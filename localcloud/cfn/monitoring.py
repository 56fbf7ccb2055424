"""What ministack's types and answers leave out of services that only keep records: alarms on several metrics, keys
of topics, nodes of caches.

Points of metrics are kept for a day, and only while the cloud runs: a scaler's, of every few seconds, would make
each save slower.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from ministack.services import elasticache, sns

from localcloud.cfn.registry import extend, truth

DAY = 86400
# Of CloudWatch; the rest holds keys that JSON cannot.
SAVED = ("alarms", "composite_alarms", "composite_triggers", "alarm_history", "dashboards", "resource_tags")
# An alarm on an expression is an alarm on nothing that ministack could look up, so it stays as it is.
NO_METRIC = {"MetricName": "-", "Namespace": "-"}


def _metric(entry: dict) -> dict:
    """A MetricDataQuery with the types that the API has."""
    made = copy.deepcopy(entry)
    if "ReturnData" in made:
        made["ReturnData"] = truth(made["ReturnData"])
    for holder in (made, made.get("MetricStat") or {}):
        if "Period" in holder:
            holder["Period"] = int(holder["Period"])
    return made


def _topic(arn: str, props: dict) -> None:
    attributes = sns._topics[arn]["attributes"]
    for key in ("KmsMasterKeyId", "SignatureVersion", "TracingConfig"):
        attributes.pop(key, None)
        if props.get(key):
            attributes[key] = str(props[key])


def _cache(name: str, props: dict) -> None:
    """The nodes of a group follow its replicas, and so do the names it gives them."""
    group = elasticache._replication_groups[name]
    group["MemberClusters"] = [
        member["CacheClusterId"] for node in group["NodeGroups"] for member in node["NodeGroupMembers"]
    ]


def install() -> None:
    extend("AWS::SNS::Topic", _topic)
    extend("AWS::ElastiCache::ReplicationGroup", _cache)


def with_metrics(record: Callable[[str, dict], dict]) -> Callable[[str, dict], dict]:
    """The record of an alarm on several metrics, or ministack's own of an alarm on one."""

    def alarm_record(name: str, props: dict) -> dict:
        if not props.get("Metrics"):
            return record(name, props)
        alarm = record(name, {**props, **NO_METRIC, "Metrics": None})
        for key in (*NO_METRIC, "Statistic", "Period", "Dimensions", "ExtendedStatistic", "Unit"):
            alarm.pop(key, None)
        return {**alarm, "Metrics": [_metric(entry) for entry in props["Metrics"]]}

    return alarm_record


def with_kind(short_name: Callable[[str], str]) -> Callable[[str], str]:
    """The full name of a target group from its ARN."""
    return lambda arn: f"targetgroup/{short_name(arn)}"
