"""What a template may say on AWS and ministack refuses: Fn::Split, Fn::Sub and Fn::Join in `Conditions`, and
metric math in AWS::CloudWatch::Alarm. No metric is ever computed: such an alarm is a record.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def _resolved(value: Any, known: dict[str, str]) -> Any:
    """The value with the functions that ministack leaves out carried out; all others stay."""
    if isinstance(value, list):
        return [_resolved(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value and isinstance(value["Fn::Sub"], str):
        return _VARIABLE.sub(lambda match: known.get(match[1], match[0]), value["Fn::Sub"])
    if "Fn::Split" in value:
        separator, text = value["Fn::Split"]
        text = _resolved(text, known)
        if isinstance(text, dict) and "Ref" in text:
            text = known.get(text["Ref"], text["Ref"])
        return str(text).split(separator)
    if "Fn::Join" in value:
        separator, items = _resolved(value["Fn::Join"], known)
        return separator.join(
            known.get(i["Ref"], i["Ref"]) if isinstance(i, dict) and "Ref" in i else str(i) for i in items
        )
    return {key: _resolved(item, known) for key, item in value.items()}


def _install_conditions() -> None:
    original = engine._evaluate_conditions

    def evaluate_conditions(template: dict, params: dict) -> dict:
        known = {name: str(parameter.get("Value", "")) for name, parameter in params.items()}
        known.update({"AWS::Region": get_region(), "AWS::AccountId": get_account_id()})
        conditions = _resolved(template.get("Conditions", {}), known)
        return original({**template, "Conditions": conditions}, params)

    for module in (engine, changesets, handlers, stacks):
        module._evaluate_conditions = evaluate_conditions


def _install_metric_math() -> None:
    original = provisioners._cw_metric_alarm_record

    def alarm_record(name: str, props: dict) -> dict:
        metrics = props.get("Metrics")
        if not metrics:
            return original(name, props)
        # ministack's own code reads these of every alarm: they are those of the first metric.
        stat = next(metric["MetricStat"] for metric in metrics if metric.get("MetricStat"))
        plain = {key: value for key, value in props.items() if key != "Metrics"}
        plain.update(stat["Metric"], Period=stat["Period"], Statistic=stat["Stat"])
        return {**original(name, plain), "Metrics": metrics}

    provisioners._cw_metric_alarm_record = alarm_record


def install() -> None:
    _install_conditions()
    _install_metric_math()
