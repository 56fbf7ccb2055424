"""The role with which GitHub Actions deploys an environment, as `templates/delivery.yaml` makes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.services.cloudformation import engine

from localcloud.iam.policy import Statement, statements
from localcloud.iam.resources import Place

OMITTED = object()


@dataclass(frozen=True)
class Template:
    """Resources that consist of policies, with the values of the parameters of their templates."""

    whole: Mapping[str, Any]
    values: Mapping[str, str]

    def policies(self) -> dict[str, dict[str, Any]]:
        """The documents of its managed policies, by logical id."""
        found = self.whole["Resources"].items()
        return {
            name: self._resolved(resource["Properties"]["PolicyDocument"])
            for name, resource in found
            if resource["Type"] == "AWS::IAM::ManagedPolicy"
        }

    def statements(self) -> list[Statement]:
        """The statements of all of them."""
        return [one for document in self.policies().values() for one in statements(document)]

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self._resolved(item) for item in value]
            return [item for item in items if item is not OMITTED]
        if not isinstance(value, dict):
            return value
        if "Ref" in value:
            return OMITTED if value["Ref"] == "AWS::NoValue" else self.values[value["Ref"]]
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: self.values[found[1]], value["Fn::Sub"])
        if "Fn::Split" in value:
            separator, text = value["Fn::Split"]
            return str(self._resolved(text)).split(separator)
        if "Fn::Join" in value:
            separator, items = value["Fn::Join"]
            return str(separator).join(self._resolved(items))
        if "Fn::Select" in value:
            index, items = value["Fn::Select"]
            return self._resolved(items)[int(index)]
        if "Fn::If" in value:
            condition, yes, no = value["Fn::If"]
            return self._resolved(yes if self._holds(self.whole["Conditions"][condition]) else no)
        return {key: self._resolved(inner) for key, inner in value.items()}

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        if "Fn::Not" in condition:
            return not self._holds(condition["Fn::Not"][0])
        if "Fn::Or" in condition:
            return any(self._holds(one) for one in condition["Fn::Or"])
        one, other = (self._resolved(side) for side in condition["Fn::Equals"])
        return bool(one == other)


def texts(templates: Path, *, tasks: bool) -> list[str]:
    """The templates that give the role its rights: one for every engine, and one more where Airflow runs on ECS."""
    names = ["delivery.yaml", *(["engines/ecs/delivery.yaml"] if tasks else [])]
    return [(templates / name).read_text(encoding="utf-8") for name in names]


def template(texts: list[str], place: Place, secret: str = "", image: str = "", source: str = "") -> Template:
    """These for an environment, perhaps with the secret of an existing database, an image's parameter, and the
    environment that releases come from.
    """
    parsed = [engine._parse_template(text) for text in texts]
    sections = ("Conditions", "Resources")
    return Template(
        {section: {k: v for one in parsed for k, v in one.get(section, {}).items()} for section in sections},
        {
            "AWS::Partition": place.partition,
            "AWS::Region": place.region,
            "AWS::AccountId": place.account,
            "ProjectName": place.project,
            "EnvironmentName": place.environment,
            "MasterStackName": place.stack,
            "DeployRoleName": f"{place.stack}-Delivery-DeployRole-1A2B3C",
            "ArtifactBucket": f"ductwork-{place.account}-{place.region}",
            "HostedZoneId": place.zone,
            "DatabaseUrlSecretArn": secret,
            "HostImageParameter": image,
            "ReleaseSource": source or place.environment,
        },
    )
