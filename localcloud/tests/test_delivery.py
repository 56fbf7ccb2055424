"""The deploy role against what CloudFormation asks for each resource type of the templates, and what AWS limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.iam import handlers, tool
from localcloud.iam.account import Role
from localcloud.iam.calls import Around, Call, calls
from localcloud.iam.delivery import Template, template, texts
from localcloud.iam.foreign import Own
from localcloud.iam.policy import Request, Statement, allows, deciding
from localcloud.iam.resources import Place
from localcloud.iam.unused import FORBIDDEN, UNUSED
from localcloud.tests.conftest import REGION, RunningCloud

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
PLACES = [
    Place("ductwork", "dev", "111122223333", "eu-central-1", "aws", ""),
    Place("ductwork", "prod", "111122223333", "eu-central-1", "aws", "Z0123456789ABCDEFGHIJ"),
    # As in xtask/tests/templates/most.toml.
    Place("a12345678901234567890123", "abcdefghij1234567890", "999999999999", "us-isob-northeast-9", "aws-iso-b",
          "Z0123456789ABCDEFGHIJKLMNOPQRSTU"),
]  # fmt: skip
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:elsewhere/database-AbCdEf"
# People deploy this one.
BOOTSTRAP = {"AWS::ECR::Repository", "AWS::IAM::OIDCProvider"}
# Of engines on ECS alone.
ECS = (
    "AWS::ECS::", "AWS::ServiceDiscovery::", "AWS::ApplicationAutoScaling::", "AWS::Athena::", "AWS::Glue::",
    "AWS::KinesisFirehose::", "AWS::Logs::LogStream",
)  # fmt: skip
# What all environments of an account share, or what IAM knows no tags of.
SHARED = (
    "codedeploy:deploymentconfig",
    "route53:change",
    "route53:hostedzone",
    "wafv2:loadbalancer/app/",
    "glue:catalog",
)
# IAM's limits.
POLICY, POLICIES = 6144, 10


def role(place: Place, secret: str = "", image: str = "", *, tasks: bool = True) -> Template:
    return template(texts(TEMPLATES, tasks=tasks), place, secret, image)


def named(folder: Path) -> set[str]:
    """The resource types of the templates in a folder and below."""
    texts = [file.read_text(encoding="utf-8") for file in folder.rglob("*.yaml")]
    return {name for text in texts for name in re.findall(r"^    Type: (AWS::\w+::\w+)$", text, re.MULTILINE)}


def types(place: Place, *, tasks: bool = True) -> Iterator[str]:
    """The resource types of an environment with everything; without a zone it has no records."""
    for name in handlers.table()["handlers"]:
        is_known = tasks or not name.startswith(ECS)
        if is_known and name not in BOOTSTRAP and (place.zone or name != "AWS::Route53::RecordSet"):
            yield name


def asked(place: Place, asker: Place, *, tasks: bool = True) -> Iterator[handlers.Asked]:
    for name in types(place, tasks=tasks):
        yield from handlers.asked(name, place, asker)


def lacks(place: Place, statements: list[Statement], *, tasks: bool = True) -> Iterator[str]:
    for one in asked(place, place, tasks=tasks):
        if not allows(statements, one.request):
            yield f"{one.request.action} on {one.request.resource}: {one.handler}"


def others(place: Place) -> Iterator[Place]:
    """Environments beside it: one name is another, two begin with its own."""
    for name in ("other", f"{place.environment}2", f"{place.environment}-2"):
        yield replace(place, environment=name)


def shares(place: Place, request: Request) -> bool:
    return any(request.resource == arn for kind in SHARED for arn in place.arns(kind))


def test_the_table_has_every_resource_type_of_the_templates() -> None:
    listed = set(handlers.table()["handlers"])
    assert named(TEMPLATES) == listed, "run dev/handlers.py with the Python of the dev environment"


def test_what_is_unused_names_resource_types_and_actions_of_the_table() -> None:
    for kinds, actions, _ in UNUSED:
        for action in actions.split():
            table = {kinds: {action: [action]}}
            assert handlers.matched(table, kinds, action)
            assert handlers.matched(handlers.table()["handlers"], kinds, action), (
                f"{action} of {kinds}: not listed"
            )


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.environment)
def test_the_deploy_role_allows_what_cloudformation_asks(place: Place) -> None:
    assert sorted(set(lacks(place, role(place).statements()))) == []


def test_rights_for_tasks_are_those_of_environments_on_ecs() -> None:
    """A role without the part for ECS makes every environment of hosts, and nothing of a cluster."""
    place = PLACES[1]
    statements = role(place, tasks=False).statements()
    assert sorted(set(lacks(place, statements, tasks=False))) == []
    shared = {*named(TEMPLATES / "engines/ec2")}.union(
        *(re.findall(r"AWS::\w+::\w+", file.read_text(encoding="utf-8")) for file in TEMPLATES.glob("*.yaml"))
    )
    assert not [name for name in shared if name.startswith(ECS)]
    for kind in ("ecs:cluster", "ecs:service", "ecs:task", "servicediscovery:namespace"):
        for arn in place.arns(kind):
            for action in ("ecs:UpdateService", "ecs:DeleteCluster", "servicediscovery:DeleteNamespace"):
                assert not allows(statements, Request(action, arn, place.tags("aws:ResourceTag")))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.environment)
def test_the_deploy_role_looks_for_drift_and_reads_receipts_of_its_own(place: Place) -> None:
    statements = role(place).statements()

    def may(action: str, resource: str) -> bool:
        return allows(statements, Request(action, resource, place.tags("aws:ResourceTag")))

    everywhere = ("cloudformation:BatchDescribeTypeConfigurations", "cloudformation:DescribeStackDriftDetectionStatus",
                  "cloudformation:ListStacks", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData")  # fmt: skip
    assert [action for action in everywhere if not may(action, "*")] == []
    stacks = f"arn:{place.partition}:cloudformation:{place.region}:{place.account}:stack"
    for action in ("DetectStackDrift", "DetectStackResourceDrift", "DescribeStackResourceDrifts"):
        assert may(f"cloudformation:{action}", f"{stacks}/{place.stack}-Broker-1A/0")
        assert not may(f"cloudformation:{action}", f"{stacks}/another/0")
    bucket = f"arn:{place.partition}:s3:::ductwork-{place.account}-{place.region}/receipts"
    assert may("s3:GetObject", f"{bucket}/{place.environment}/i-1/worker.json")
    assert not may("s3:GetObject", f"{bucket}/{place.environment}-2/i-1/worker.json")
    assert not may("s3:PutObject", f"{bucket}/{place.environment}/i-1/worker.json"), "they are the hosts' own"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.environment)
def test_the_deploy_role_asks_airflow_through_the_bucket_of_its_own(place: Place) -> None:
    statements = role(place).statements()
    bucket = f"arn:{place.partition}:s3:::ductwork-{place.account}-{place.region}"

    def may(action: str, key: str) -> bool:
        return allows(statements, Request(action, f"{bucket}/{key}", place.tags("aws:ResourceTag")))

    for environment, expected in ((place.environment, True), (f"{place.environment}-2", False)):
        assert may("s3:PutObject", f"environments/{environment}/relay.json") == expected
        assert may("s3:GetObject", f"receipts/{environment}/answers/01.json") == expected
    assert not may("s3:PutObject", f"receipts/{place.environment}/answers/01.json"), "they are Airflow's own"


def test_tasks_and_alarms_of_scaling_are_those_of_the_own_cluster() -> None:
    place = PLACES[1]
    statements = role(place).statements()
    (cluster,) = place.arns("ecs:cluster")

    def may(family: str, within: str) -> bool:
        definition = f"arn:aws:ecs:{place.region}:{place.account}:task-definition/{family}:7"
        return allows(statements, Request("ecs:RunTask", definition, {"ecs:cluster": within}))

    alarm = f"arn:aws:cloudwatch:{place.region}:{place.account}:alarm:TargetTracking-service"
    for stack, expected in ((place.stack, True), (f"{place.stack}-2", False)):
        name = f"{alarm}/{stack}/api-server-AlarmHigh-1"
        assert allows(statements, Request("cloudwatch:PutMetricAlarm", name)) == expected
    assert may(f"{place.stack}-migrate", cluster)
    assert not may(f"{place.stack}-migrate", f"{cluster}-2")
    assert not may(f"{place.stack}-scheduler", cluster)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.environment)
def test_the_deploy_role_allows_nothing_of_another_environment(place: Place) -> None:
    statements = role(place).statements()
    for other in others(place):
        for one in asked(other, place):
            if one.is_new or one.request.resource == "*" or shares(place, one.request):
                continue  # what is made harms nobody, and what is no resource is nobody's
            by = deciding(statements, one.request)
            assert not by, f"{by[0]['Sid']} allows {one.request} of `{other.environment}`: {one.handler}"


def test_a_planted_lack_is_noticed() -> None:
    """Without any one of the statements that are for resources, a handler lacks something."""
    place = PLACES[1]
    whole = role(place).statements()
    for sid in ("OwnStacks", "Rollout", "Look", "Services", "Buckets", "Secrets", "Trail", "Roles", "PassRoles",
                "ServiceRoles", "Create", "TagWhatIsNew", "ChangeOwn", "NameKey", "LaunchFromTemplate",
                "WithoutTags", "GuardEntry", "NameEntry", "OwnCluster", "PassRolesToEcs", "WithoutResources",
                "CreateNames", "TagNames", "ChangeNames", "DeliverLogs", "DescribeLogs",
                "PassRoleToFirehose"):  # fmt: skip
        assert next(lacks(place, [one for one in whole if one["Sid"] != sid]), None), sid


def test_without_its_deny_the_role_reaches_an_environment_whose_name_continues_its_own() -> None:
    place = PLACES[1]
    allowing = [one for one in role(place).statements() if one["Effect"] == "Allow"]
    other = replace(place, environment=f"{place.environment}-2")
    assert any(allows(allowing, one.request) for one in asked(other, place) if not one.is_new)


def test_nobody_stops_the_audit_trail_by_deploying() -> None:
    place = PLACES[1]
    (trail,) = place.arns("cloudtrail:trail")
    tags = place.tags("aws:ResourceTag")
    for action in FORBIDDEN:
        assert not allows(role(place).statements(), Request(action, trail, tags))


def test_the_role_tags_itself_and_changes_nothing_else_of_itself() -> None:
    place = PLACES[1]
    own = f"arn:aws:iam::{place.account}:role/ductwork-deploy/{place.stack}/{place.stack}-Delivery-1A2B3C"
    policy = own.replace(":role/", ":policy/")
    statements = role(place).statements()

    def may(action: str, resource: str) -> bool:
        return allows(statements, Request(f"iam:{action}", resource, place.tags("aws:ResourceTag")))

    assert may("TagRole", own) and may("GetRole", own)
    for action in (
        "AttachRolePolicy",
        "PutRolePolicy",
        "UpdateAssumeRolePolicy",
        "UpdateRole",
        "DeleteRole",
        "PassRole",
    ):
        assert not may(action, own), action
    for action in ("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy"):
        assert not may(action, policy), action


def test_gates_may_look_for_the_secrets_of_their_environment_only() -> None:
    place = PLACES[1]
    prefix = f"arn:aws:secretsmanager:{place.region}:{place.account}:secret:"
    statements = role(place, SECRET).statements()

    def may(action: str, secret: str) -> bool:
        return allows(statements, Request(f"secretsmanager:{action}", secret))

    for name in ("login/google", "login/google-AbCdEf", "connections/db-AbCdEf", "variables/key-AbCdEf"):
        assert may("DescribeSecret", f"{prefix}ductwork/prod/{name}")
        assert not may("GetSecretValue", f"{prefix}ductwork/prod/{name}")
        assert not may("DescribeSecret", f"{prefix}ductwork/prod-2/{name}")
    assert may("DescribeSecret", SECRET) and not may("GetSecretValue", SECRET)
    assert not allows(role(place).statements(), Request("secretsmanager:DescribeSecret", SECRET))


def test_the_parameter_of_an_image_is_readable_if_it_is_given() -> None:
    place = PLACES[1]
    request = Request("ssm:GetParameter", f"arn:aws:ssm:{place.region}:{place.account}:parameter/team/image")
    assert allows(role(place, image="/team/image").statements(), request)
    for image in ("", "/team/other"):
        assert not allows(role(place, image=image).statements(), request)


def test_change_sets_are_told_apart_by_their_names() -> None:
    place = PLACES[1]
    statements = role(place).statements()
    for action in ("DescribeEvents", "DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet"):
        (own,) = place.arns("cloudformation:changeset")
        assert allows(statements, Request(f"cloudformation:{action}", own))
        for other in others(place):
            (theirs,) = other.arns("cloudformation:changeset")
            assert not allows(statements, Request(f"cloudformation:{action}", theirs))


def test_the_bootstrap_stack_is_looked_at_and_never_touched() -> None:
    place = PLACES[1]
    stack = f"arn:aws:cloudformation:{place.region}:{place.account}:stack/ductwork-bootstrap/1"
    allowed = [
        verb
        for verb in ("DescribeStacks", "UpdateStack", "DeleteStack", "CreateChangeSet", "ExecuteChangeSet")
        if allows(role(place).statements(), Request(f"cloudformation:{verb}", stack))
    ]
    assert allowed == ["DescribeStacks"]


def test_policies_are_within_iams_limits() -> None:
    longest = role(PLACES[2], SECRET.replace("elsewhere", "e" * 200), f"/{'i' * 1010}").policies()
    sizes = {name: len(json.dumps(document, separators=(",", ":"))) for name, document in longest.items()}
    assert all(size <= POLICY for size in sizes.values()), sizes
    assert len(sizes) <= POLICIES


def test_what_the_release_tool_asks_is_recorded_with_its_stack(cloud: RunningCloud, name: str) -> None:
    config = Config(user_agent_appid=name, retries={"max_attempts": 1})

    def mine(service: str):
        return boto3.client(service, endpoint_url=cloud.endpoint, region_name=REGION, config=config,
                            aws_access_key_id="local", aws_secret_access_key="local")  # fmt: skip

    cfn = mine("cloudformation")
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    made = cfn.create_change_set(
        StackName=name, ChangeSetName=f"{name}-Change-1", ChangeSetType="CREATE", TemplateBody=body
    )
    cfn.delete_change_set(ChangeSetName=made["Id"])
    for absent in (
        lambda: cfn.describe_stacks(StackName="nobody"),
        lambda: mine("secretsmanager").describe_secret(SecretId="ductwork/dev/login/google"),
        lambda: mine("codedeploy").list_deployment_targets(deploymentId="d-1"),
    ):
        with pytest.raises(ClientError):
            absent()
    cloud.client("sqs").list_queues()  # somebody else's
    lines = [json.loads(line) for line in (cloud.state / "calls.jsonl").read_text().splitlines()]
    own = [line for line in lines if line.get("app") == name]
    here = f"{REGION}:000000000000"
    assert {line["component"] for line in own} == {"xtask"}
    assert {(line["action"], line["resource"]) for line in own} == {
        ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{here}:stack/{name}/*"),
        ("cloudformation:DeleteChangeSet", made["Id"]),
        ("cloudformation:DeleteChangeSet", made["StackId"]),
        ("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{here}:stack/nobody/*"),
        ("secretsmanager:DescribeSecret", f"arn:aws:secretsmanager:{here}:secret:ductwork/dev/login/google"),
        ("codedeploy:ListDeploymentTargets", "*"),
    }
    assert not list(calls(own, Around(REGION, {}))), "the hosts' roles are not judged by these"


def test_calls_of_the_tool_are_judged_by_environment() -> None:
    place = replace(PLACES[0], account="000000000000", region="us-east-1")
    own = Own(place.project, place.environment)
    bucket = "arn:aws:s3:::ductwork-000000000000-us-east-1"

    def made(*asked: tuple[str, str], app: str = place.stack) -> list[Call]:
        records = [
            {"component": "xtask", "app": app, "action": one, "resource": other} for one, other in asked
        ]
        return list(tool.calls(records, place))

    def found(made: list[Call]) -> list[str]:
        return list(tool.findings(made, Role("DeployRole", place.stack, role(place).statements()), own))

    fine = [
        ("s3:PutObject", f"{bucket}/environments/dev/current.json"),
        ("s3:PutObject", f"{bucket}/bundles/0a.zip"),
        (
            "cloudformation:UpdateStack",
            "arn:aws:cloudformation:us-east-1:000000000000:stack/ductwork-bootstrap/1",
        ),
    ]
    assert found(made(*fine)) == []
    lack = found(made(("s3:DeleteObject", f"{bucket}/bundles/0a.zip")))
    assert len(lack) == 1 and "must allow s3:DeleteObject" in lack[0]
    assert "no call of the release tool" in found(made(*fine, app="ductwork-prod"))[0]


def test_a_job_logs_in_at_the_package_index_and_the_repository_of_its_environment_only() -> None:
    place = PLACES[1]
    prefix = f"arn:aws:secretsmanager:{place.region}:{place.account}:secret:"
    statements = role(place).statements()

    def may(secret: str) -> bool:
        return allows(statements, Request("secretsmanager:GetSecretValue", f"{prefix}{secret}"))

    for own in ("ductwork/prod/packages/index", "ductwork/prod/dags/git"):
        assert may(f"{own}-AbCdEf")
        assert not may(f"{own}-other-AbCdEf") and not may(own.replace("prod", "prod-2") + "-AbCdEf")


def test_the_records_of_the_environment_that_releases_come_from_can_be_read_and_nothing_else_of_it() -> None:
    place = PLACES[1]
    bucket = f"arn:aws:s3:::ductwork-{place.account}-{place.region}/environments"

    def may(action: str, key: str, source: str) -> bool:
        statements = template(texts(TEMPLATES, tasks=False), place, source=source).statements()
        return allows(statements, Request(action, f"{bucket}/{key}"))

    for key in ("current.json", "releases/0123456789ab.json", "deployments/01.json"):
        assert may("s3:GetObject", f"staging/{key}", "staging")
        assert not may("s3:GetObject", f"staging/{key}", "") and not may(
            "s3:GetObject", f"dev/{key}", "staging"
        )
        assert not may("s3:PutObject", f"staging/{key}", "staging")
    assert not may("s3:GetObject", "staging/dumps/01.dump", "staging")
    assert not may("s3:DeleteObject", "prod/lock.json", "")
