//! Every call that the tool can make of AWS is one that `doctor` asks IAM about, or is listed here with the reason why not.

use super::source::{Source, Token};
use super::{none, sources};
use std::collections::BTreeSet;
use xtask::config::resolve;

/// By the names that IAM has for them.
const NOT_ASKED: [(&str, &[&str]); 6] = [
    ("everybody may", &["GetCallerIdentity"]),
    (
        "`doctor` and the gate `account` ask for these, and tell what they may not ask",
        &[
            "DescribeAddresses",
            "DescribeAvailabilityZones",
            "DescribeCertificate",
            "DescribeImages",
            "DescribeInstances",
            "DescribeInstanceTypeOfferings",
            "DescribeInstanceTypes",
            "DescribeKey",
            "DescribeSubnets",
            "DescribeVpcs",
            "GetAWSDefaultServiceQuota",
            "GetRole",
            "GetServiceQuota",
            "SimulatePrincipalPolicy",
        ],
    ),
    (
        "`run` and `exec` are for people",
        &["CancelCommand", "ExecuteCommand", "GetCommandInvocation", "SendCommand", "StartSession"],
    ),
    ("`secret set` is for people", &["CreateSecret", "PutSecretValue"]),
    (
        "`destroy` is for people",
        &[
            "DeleteBucket",
            "DeleteLifecycleHook",
            "DeleteObject",
            "DeleteSecret",
            "DeregisterTaskDefinition",
            "ListBucketVersions",
            "ListTaskDefinitions",
            "ResumeProcesses",
            "SetInstanceProtection",
            "UpdateAutoScalingGroup",
        ],
    ),
    (
        "a registry can be elsewhere, and is not asked before there is an image",
        &["DescribeImageScanFindings", "GetAuthorizationToken"],
    ),
];

/// Operations of S3 whose right has another name.
const S3: [(&str, &str); 5] = [
    ("HeadBucket", "ListBucket"),
    ("HeadObject", "GetObject"),
    ("ListObjectsV2", "ListBucket"),
    ("ListObjectVersions", "ListBucketVersions"),
    ("DeleteObjects", "DeleteObject"),
];

/// What operations begin with; some names of ours do, too.
const VERBS: [&str; 26] = [
    "Batch",
    "Cancel",
    "Continue",
    "Create",
    "Delete",
    "Deregister",
    "Describe",
    "Detect",
    "Enter",
    "Execute",
    "Get",
    "Head",
    "List",
    "Put",
    "Register",
    "Resume",
    "Rollback",
    "Run",
    "Send",
    "Set",
    "Simulate",
    "Start",
    "Stop",
    "Suspend",
    "Terminate",
    "Update",
];

/// What only looks like an operation.
const NONE: [&str; 7] =
    ["BatchGet", "CreateTime", "DeleteMarkers", "ExecuteCommandAgent", "GetMut", "GetRef", "StartTime"];

fn is_operation(name: &str) -> bool {
    if NONE.contains(&name) {
        return false;
    }
    let verb = VERBS.iter().find_map(|verb| name.strip_prefix(verb));
    verb.is_some_and(|rest| rest.starts_with(char::is_uppercase) && rest.chars().all(char::is_alphanumeric))
}

/// `describe_stacks` as `DescribeStacks`.
fn camel(method: &str) -> String {
    let upper = |word: &str| word[..1].to_uppercase() + &word[1..];
    method.split('_').filter(|word| !word.is_empty()).map(upper).collect()
}

/// Operations that a file sends: methods of clients, whose requests are built without an argument and sent, and texts.
fn sent(source: &Source) -> BTreeSet<String> {
    let texts = |tokens: &[Token]| tokens.iter().map(|token| token.text.clone()).collect::<Vec<_>>();
    let methods =
        source.tokens.windows(4).map(texts).filter(|four| four[0] == "." && four[2..] == ["(", ")"]);
    let methods = methods.map(|four| camel(&four[1]));
    let written = source.texts.iter().map(|text| text.rsplit('.').next().unwrap_or_default().to_owned());
    methods.chain(written).filter(|name| is_operation(name)).collect()
}

/// What `doctor` asks IAM about, on every engine.
fn asked() -> BTreeSet<String> {
    let text = |engine: &str| {
        format!(
            "engine = '{engine}'\n[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n\
             [entry]\nallowed_cidrs = ['203.0.113.0/24']\nload_balancer = 'internal'\nhosted_zone_id = 'Z0123456789ABCDEFGHIJ'\n\
             [airflow]\nurl = 'https://airflow.example.com'\n"
        )
    };
    let engines = ["ec2", "fargate", "ecs-ec2"].map(|engine| resolve("dev", &text(engine), "").unwrap());
    let calls = engines.iter().flat_map(|environment| environment.demands().calls("aws"));
    calls.flat_map(|calls| calls.actions).map(|action| action.split_once(':').unwrap().1.to_owned()).collect()
}

fn unasked(sent: &BTreeSet<String>, asked: &BTreeSet<String>) -> Vec<String> {
    let right = |name: &String| {
        S3.iter().find(|(one, _)| one == name).map_or(name.clone(), |(_, right)| (*right).to_owned())
    };
    let listed: BTreeSet<&str> = NOT_ASKED.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let needed: BTreeSet<String> = sent.iter().map(right).collect();
    let lacking = needed.iter().filter(|name| !asked.contains(*name) && !listed.contains(name.as_str())).map(|name| {
        format!("{name}: add it to `model/account/calls.rs`, or to the list of this test with the reason why not")
    });
    let of_nobody =
        listed.iter().filter(|name| !needed.contains(**name)).map(|name| format!("{name}: nothing sends it"));
    let both =
        listed.iter().filter(|name| asked.contains(**name)).map(|name| format!("{name}: is asked about"));
    lacking.chain(of_nobody).chain(both).collect()
}

fn all_sent() -> BTreeSet<String> {
    let sources = sources();
    let with_aws =
        sources.iter().filter(|source| matches!(source.layer(), "observe" | "apply" | "doors" | "session"));
    with_aws.filter(|source| !source.path.contains("/fake")).flat_map(sent).collect()
}

#[test]
fn doctor_asks_about_every_call_of_the_tool() {
    none(&unasked(&all_sent(), &asked()));
}

#[test]
fn what_doctor_asks_about_is_called() {
    let sent = all_sent();
    let never =
        asked().into_iter().filter(|name| !sent.contains(name) && !S3.iter().any(|(_, right)| right == name));
    none(&never.collect::<Vec<_>>());
}

#[test]
fn a_call_that_nobody_asks_about_is_found() {
    let text = "fn f() { client.describe_stack_sets().send(); write(\"AmazonSSM.PutParameter\"); self.create_it(x) }\n\
                #[cfg(test)]\nmod tests { fn g() { client.delete_stack_set().send() } }";
    let found: Vec<String> = sent(&Source::new("doors/x.rs", text)).into_iter().collect();
    assert_eq!(found, ["DescribeStackSets", "PutParameter"]);
    let told = unasked(&all_sent().into_iter().chain(found).collect(), &asked());
    assert_eq!(told.len(), 2, "{told:#?}");
}
