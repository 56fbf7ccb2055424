"""AWS::IAM::{InstanceProfile,OIDCProvider,RolePolicy}: records; no policy is enforced."""

from __future__ import annotations

import json
from urllib.parse import urlparse

from ministack.core.responses import get_account_id, now_iso
from ministack.services import iam
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import register, tags_of
from localcloud.emulator.shapes import Made


def _profile_arn(name: str) -> str:
    record = iam._instance_profiles.get(name)
    return record["Arn"] if record else ""


def _profile_create(logical_id: str, props: dict, stack_name: str) -> Made:
    """Ref is the name on AWS; ministack answers the ARN."""
    arn, _ = provisioners._iam_ip_create(logical_id, props, stack_name)
    return arn.rpartition("/")[2], {"Arn": arn}


def _profile_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    arn, _ = provisioners._iam_ip_update(_profile_arn(physical_id), old, new, stack_name, logical_id)
    return arn.rpartition("/")[2], {"Arn": arn}


def _profile_delete(physical_id: str, props: dict) -> None:
    iam._instance_profiles.pop(physical_id, None)


def _oidc_create(logical_id: str, props: dict, stack_name: str) -> Made:
    url = urlparse(props.get("Url", ""))
    if url.scheme != "https":
        raise ValueError("Url of an OpenID Connect provider must begin with https://")
    arn = f"arn:aws:iam::{get_account_id()}:oidc-provider/{url.netloc}{url.path}"
    if arn in iam._oidc_providers:
        raise ValueError(f"Provider with url {props['Url']} already exists.")
    iam._oidc_providers[arn] = {"Arn": arn, "Url": f"{url.netloc}{url.path}", "CreateDate": now_iso()}
    return _oidc_update(arn, {}, props, stack_name)


def _oidc_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    iam._oidc_providers[physical_id].update(
        ClientIDList=list(new.get("ClientIdList") or []),
        ThumbprintList=list(new.get("ThumbprintList") or []),
        Tags=tags_of(new),
    )
    return physical_id, {"Arn": physical_id}


def _oidc_delete(physical_id: str, props: dict) -> None:
    iam._oidc_providers.pop(physical_id, None)


def _role_policy_create(logical_id: str, props: dict, stack_name: str) -> Made:
    role = iam._roles.get(props["RoleName"])
    if role is None:
        raise ValueError(f"The role with name {props['RoleName']} cannot be found.")
    role["InlinePolicies"][props["PolicyName"]] = json.dumps(props.get("PolicyDocument") or {})
    return f"{props['PolicyName']}|{props['RoleName']}", {}


def _role_policy_update(
    physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
) -> Made:
    return _role_policy_create(logical_id or physical_id, new, stack_name)


def _role_policy_delete(physical_id: str, props: dict) -> None:
    role = iam._roles.get(props["RoleName"])
    if role is not None:
        role["InlinePolicies"].pop(props["PolicyName"], None)


def install() -> None:
    register("AWS::IAM::InstanceProfile", _profile_create, _profile_delete, _profile_update)
    register("AWS::IAM::OIDCProvider", _oidc_create, _oidc_delete, _oidc_update)
    register("AWS::IAM::RolePolicy", _role_policy_create, _role_policy_delete, _role_policy_update)
