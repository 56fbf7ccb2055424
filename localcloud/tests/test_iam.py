"""The judgement of roles: evaluation of policies, recorded calls, and what must not be allowed elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ministack.services.cloudformation import engine

from localcloud.iam import judge
from localcloud.iam.account import Role
from localcloud.iam.calls import Around, Call, calls, read
from localcloud.iam.delivery import Template
from localcloud.iam.foreign import Own, is_shared, renamed
from localcloud.iam.policy import PolicyError, Request, allows, statements

OWN = Own("ductwork", "local")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:ductwork-local_default_0a1b2c3d4e5f"
SECRETS = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
KEY = "arn:aws:kms:us-east-1:000000000000:key/0a1b2c3d-0000-0000-0000-0a1b2c3d4e5f"
GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:0a1b2c3d-0000-0000-0000-0a1b2c3d4e5f:"


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def request(action: str, resource: str = "*", **context: Any) -> Request:
    return Request(action, resource, {key.replace("__", ":"): value for key, value in context.items()})


def given(operator: str, wanted: Any, value: Any = None, key: str = "aws:x") -> bool:
    """Whether a statement with this condition allows a request with this value of the key."""
    statement = allow("*", "*", Condition={operator: {key: wanted}})
    return allows([statement], Request("s3:GetObject", "*", {} if value is None else {key: value}))


@pytest.mark.parametrize(
    ("statement", "action", "resource", "expected"),
    [
        (allow("s3:GetObject", "arn:aws:s3:::b/*"), "s3:GetObject", "arn:aws:s3:::b/a/c", True),
        (allow("s3:getobject", "arn:aws:s3:::b/*"), "S3:GetObject", "arn:aws:s3:::b/a", True),
        (allow("s3:GetObject", "arn:aws:s3:::b/*"), "s3:GetObject", "arn:aws:s3:::B/a", False),
        (allow("s3:GetObject", "arn:aws:s3:::b/*"), "s3:PutObject", "arn:aws:s3:::b/a", False),
        (allow(["s3:Get*", "s3:?ut*"], "*"), "s3:PutObject", "arn:aws:s3:::b/a", True),
        (allow("s3:GetObject", "arn:aws:s3:::b.c/*"), "s3:GetObject", "arn:aws:s3:::bxc/a", False),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, "s3:GetObject", "*", True),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, "iam:PassRole", "*", False),
        ({"Effect": "Allow", "Action": "*", "NotResource": QUEUE}, "sqs:SendMessage", QUEUE, False),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], action: str, resource: str, expected: bool) -> None:
    assert allows([statement], Request(action, resource)) is expected


def test_deny_wins_and_nothing_is_allowed_by_default() -> None:
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::b/secret/*"}
    policy = [deny, allow("s3:GetObject", "arn:aws:s3:::b/*")]
    assert allows(policy, request("s3:GetObject", "arn:aws:s3:::b/a"))
    assert not allows(policy, request("s3:GetObject", "arn:aws:s3:::b/secret/a"))
    assert not allows([], request("s3:GetObject", "arn:aws:s3:::b/a"))


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["b", "a"], "a", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringLike", "a*c?", "abbcd", True),
        ("StringNotLike", "a*", "abc", False),
        ("ArnLike", "arn:aws:sqs:*:*:a*", "arn:aws:sqs:r:1:ab", True),
        ("ArnLike", "arn:aws:*:b", "arn:aws:sqs:r:1:b", False),
        ("ArnEquals", "arn:aws:sqs:r:1:a*", "arn:aws:sqs:r:1:ab", True),
        ("ArnNotLike", "arn:aws:sqs:*:*:a*", "arn:aws:sqs:r:1:b", True),
        ("Bool", "true", "true", True),
        ("Bool", True, "true", True),
        ("Bool", "true", "false", False),
        ("Bool", "true", None, False),
        ("Null", "true", None, True),
        ("Null", "true", "a", False),
        ("Null", False, "a", True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", "a", None, True),
        ("ForAnyValue:StringLike", "a*", ["b", "ab"], True),
        ("ForAnyValue:StringLike", "a*", None, False),
    ],
)
def test_conditions(operator: str, wanted: Any, value: Any, expected: bool) -> None:
    assert given(operator, wanted, value) is expected


def test_all_conditions_must_hold_and_keys_know_no_case() -> None:
    both = {"StringEquals": {"aws:ResourceTag/a": "1", "aws:ResourceTag/b": "2"}, "Bool": {"aws:y": "true"}}
    policy = [allow("*", "*", Condition=both)]
    full = {"AWS:resourceTag/a": "1", "aws:ResourceTag/b": "2", "aws:y": "true"}
    assert allows(policy, Request("s3:GetObject", "*", full))
    for key in full:
        assert not allows(policy, Request("s3:GetObject", "*", {**full, key: "other"}))


def test_variables() -> None:
    policy = [allow("s3:GetObject", "arn:aws:s3:::b/${aws:PrincipalTag/team}/${*}")]
    tagged = {"aws:PrincipalTag/team": "a"}
    assert allows(policy, Request("s3:GetObject", "arn:aws:s3:::b/a/*", tagged))
    assert not allows(policy, Request("s3:GetObject", "arn:aws:s3:::b/a/x", tagged))
    assert not allows(policy, Request("s3:GetObject", "arn:aws:s3:::b/a/*"))


@pytest.mark.parametrize(
    "statement",
    [
        allow("*", "*", Condition={"NumericLessThan": {"aws:x": "1"}}),
        allow("*", "*", Condition={"ForMostValues:StringEquals": {"aws:x": "1"}}),
        # One that is false besides must not hide it.
        allow("*", "*", Condition={"StringEquals": {"aws:y": "1"}, "StringEqual": {"aws:x": "1"}}),
        allow("s3:PutObject", "*", Condition={"StringEqual": {"aws:x": "1"}}),
        allow("*", "*", Principal="*"),
        allow("*", "*", Actions="*"),
        allow("*", "${aws:x, 'a'}"),
        {"Effect": "allow", "Action": "*", "Resource": "*"},
        {"Effect": "Allow", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "NotAction": "s3:*", "Resource": "*"},
    ],
)
def test_what_is_not_understood_is_an_error(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        allows([statement], request("s3:GetObject"))


def recorded(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    service = action.partition(":")[0]
    return {
        "component": "worker",
        "service": service,
        "action": action,
        "resource": resource,
        "profile": "p",
        **more,
    }


def test_calls_with_what_is_around_them() -> None:
    records = [
        recorded("sqs:SendMessage", QUEUE),
        recorded("cloudwatch:PutMetricData", context={"cloudwatch:namespace": "Ductwork"}),
        recorded("autoscaling:SetDesiredCapacity", GROUP + "autoScalingGroupName/group"),
    ]
    made = list(calls(records, Around("us-east-1", {"group": {"environment": "local"}})))
    assert [call.request.action for call in made] == [record["action"] for record in records]
    assert made[0].request.context["aws:RequestedRegion"] == "us-east-1"
    assert made[1].request.context["cloudwatch:namespace"] == "Ductwork"
    assert made[2].request.context["aws:ResourceTag/environment"] == "local"
    assert "aws:ResourceTag/environment" not in made[0].request.context


def test_a_half_written_record_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    line = json.dumps(recorded("sqs:SendMessage", QUEUE))
    file.write_text(f"{line}\n{line}\n{line[:20]}")
    assert read(file) == [recorded("sqs:SendMessage", QUEUE)]


def worker(*statements: dict[str, Any]) -> Role:
    return Role("worker-role", "p", list(statements))


def send() -> Call:
    return Call("worker", "p", request("sqs:SendMessage", QUEUE))


def test_a_call_that_the_role_does_not_allow_is_found() -> None:
    right, wrong = worker(allow("sqs:SendMessage", QUEUE)), worker()
    other = Role("other-role", "other", [allow("*", "*")])
    assert list(judge.insufficient([other, right], [send()])) == []
    found = list(judge.insufficient([other, wrong], [send()]))
    assert found == [f"worker-role of `worker` must allow sqs:SendMessage on {QUEUE}"]
    assert "has no role here" in next(judge.insufficient([other], [send()]))


def test_a_service_is_judged_by_its_role() -> None:
    call = Call("codedeploy", "", request("elasticloadbalancing:DescribeLoadBalancers"), "deploys")
    right, wrong = (
        Role("deploys", "", [allow("elasticloadbalancing:Describe*", "*")]),
        Role("deploys", "", []),
    )
    assert list(judge.insufficient([worker(allow("*", "*")), right], [call])) == []
    found = list(judge.insufficient([worker(allow("*", "*")), wrong], [call]))
    assert found == ["deploys of `codedeploy` must allow elasticloadbalancing:DescribeLoadBalancers on *"]


def test_components_of_which_nothing_is_recorded_are_found() -> None:
    own = Role("ductwork-local-Identity-1-ApiServerRole-2", "p", [])
    assert list(judge.silent([worker(), own], [send()])) == [
        "no call of `api-server` was recorded",
        "no call of `codedeploy` was recorded",
        "no call of `scheduler` was recorded",
    ]
    shared = judge.silent([worker()], [send()])
    assert "no call of `api-server` was recorded" not in list(shared)
    on_ecs = list(judge.silent([Role("ductwork-local-Worker", "", [], is_task=True)], [send()]))
    assert on_ecs == [f"no call of `{one}` was recorded" for one in (
        "api-server", "dag-processor", "scheduler", "triggerer"
    )]  # fmt: skip


def test_names_of_another_environment() -> None:
    assert renamed(QUEUE, OWN, "local-2").endswith(":ductwork-local-2_default_0a1b2c3d4e5f")
    assert (
        renamed("ductwork/local/connections/local_db", OWN, "other") == "ductwork/other/connections/local_db"
    )
    assert renamed("arn:aws:s3:::ductwork-000000000000-us-east-1/hosts/x", OWN, "other").endswith("/hosts/x")
    assert renamed("arn:aws:s3:::ductwork-local-Storage-A1-logsbucket-b2/x", OWN, "local2").startswith(
        "arn:aws:s3:::ductwork-local2-Storage-"
    )
    assert renamed(KEY, OWN, "other") != KEY


TAGGED = {"StringEquals": {"aws:ResourceTag/project": "ductwork", "aws:ResourceTag/environment": "local"}}


@pytest.mark.parametrize(
    "statement",
    [
        allow("sqs:SendMessage", QUEUE),
        allow("sqs:*", "arn:aws:sqs:us-east-1:000000000000:ductwork-local_*"),
        allow("secretsmanager:GetSecretValue", SECRETS + "ductwork/local/connections/*"),
        allow("s3:GetObject", "arn:aws:s3:::ductwork-000000000000-us-east-1/environments/local/current.json"),
        allow("s3:GetObject", "arn:aws:s3:::ductwork-000000000000-us-east-1/hosts/*"),
        allow("autoscaling:SetDesiredCapacity", "*", Condition=TAGGED),
        allow("autoscaling:SetDesiredCapacity", GROUP.replace("0a1b", "*") + "*", Condition=TAGGED),
        allow(
            "logs:PutLogEvents", "arn:aws:logs:us-east-1:000000000000:log-group:/ductwork/ductwork-local/*"
        ),
        allow("kms:Decrypt", KEY),
        allow("ssmmessages:OpenDataChannel", "*"),
        allow("codedeploy:*", "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:ductwork-local/*"),
        {"Effect": "Deny", "Action": "*", "Resource": "*"},
    ],
)
def test_narrow_statements(statement: dict[str, Any]) -> None:
    assert list(judge.reaches_out([worker(statement)], [], OWN)) == []


@pytest.mark.parametrize(
    "statement",
    [
        allow("sqs:SendMessage", "*"),
        allow("sqs:*", "arn:aws:sqs:us-east-1:000000000000:ductwork-local*"),
        allow("sqs:*", "arn:aws:sqs:us-east-1:000000000000:ductwork-local-*"),
        allow("secretsmanager:GetSecretValue", SECRETS + "ductwork/*/connections/*"),
        allow("secretsmanager:GetSecretValue", SECRETS + "ductwork/local*"),
        allow("s3:GetObject", "arn:aws:s3:::ductwork-000000000000-us-east-1/*"),
        allow("s3:PutObject", "arn:aws:s3:::ductwork-000000000000-us-east-1/hosts/*"),
        allow("kms:Decrypt", "arn:aws:kms:us-east-1:000000000000:key/*"),
        allow(
            "autoscaling:SetDesiredCapacity",
            "*",
            Condition={"StringEquals": {"aws:ResourceTag/project": "d"}},
        ),
        allow(
            "autoscaling:SetDesiredCapacity",
            "*",
            Condition={"StringLike": {"aws:ResourceTag/environment": "lo*"}},
        ),
        allow("secretsmanager:DescribeSecret", SECRETS + "*"),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": QUEUE},
    ],
)
def test_wide_statements_are_found(statement: dict[str, Any]) -> None:
    assert len(list(judge.reaches_out([worker(statement)], [], OWN))) >= 1


def test_a_statement_is_narrow_only_if_no_other_one_is_wide() -> None:
    role = worker(allow("sqs:SendMessage", QUEUE), allow("sqs:*", "arn:aws:sqs:*:*:*", Sid="Wide"))
    found = list(judge.reaches_out([role], [], OWN))
    assert len(found) == 2 and all("Wide allows" in finding for finding in found)


def test_a_recorded_call_must_not_work_elsewhere() -> None:
    role = worker(
        allow("sqs:SendMessage", QUEUE), allow("sqs:Send*", "arn:aws:sqs:*:*:*_default_*", Sid="Wide")
    )
    found = judge.reaches_out([role], [send()], OWN)
    assert any(QUEUE.replace("local", "other") in finding for finding in found)


def test_describing_is_shared_only_where_there_is_no_resource() -> None:
    assert is_shared(request("ec2:DescribeInstances"))
    assert not is_shared(request("secretsmanager:DescribeSecret", SECRETS + "a"))


def test_a_planted_lack_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    role = worker(allow("sqs:SendMessage", QUEUE), allow("sqs:*", QUEUE))
    assert list(judge.unnoticed([role], [send()])) == []
    monkeypatch.setattr(judge, "insufficient", lambda roles, calls: iter(()))
    assert len(list(judge.unnoticed([role], [send()]))) == 1


TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
DATABASE = SECRETS + "elsewhere/database-AbCdEf"


class Values(dict[str, str]):
    """Parameters by name; one that is of no interest is its own name."""

    def __missing__(self, name: str) -> str:
        return name


VALUES = Values({"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000",
                 "AWS::URLSuffix": "amazonaws.com", "SecretsPrefix": "ductwork/local",
                 "DatabaseSecretArn": DATABASE})  # fmt: skip


@pytest.mark.parametrize(
    ("file", "policy", "secret"),
    [
        ("ec2/host-policy.yaml", "HostPolicy", DATABASE),
        ("ec2/host-policy.yaml", "HostPolicy", SECRETS + "ductwork/local/login/google-AbCdEf"),
        ("ecs/task-policy.yaml", "StartPolicy", DATABASE),
        ("ecs/task-policy.yaml", "TaskPolicy", SECRETS + "ductwork/local/connections/smtp-AbCdEf"),
    ],
)
def test_a_secret_may_have_a_key_of_its_own(file: str, policy: str, secret: str) -> None:
    whole = engine._parse_template((TEMPLATES / "engines" / file).read_text(encoding="utf-8"))
    document = Template({"Conditions": {}, **whole}, VALUES).policies()[policy]

    def decrypts(secret: str, service: str = "secretsmanager") -> bool:
        context = {
            "kms:ViaService": f"{service}.us-east-1.amazonaws.com",
            "kms:EncryptionContext:SecretARN": secret,
        }
        return allows(statements(document), Request("kms:Decrypt", KEY, context))

    assert decrypts(secret)
    assert not decrypts(secret, "s3")
    assert not decrypts(SECRETS + "ductwork/other/connections/smtp-AbCdEf")
    assert not decrypts(SECRETS + "elsewhere/other-AbCdEf")
