//! What must be true of an environment after every command, whatever went wrong meanwhile. Asked of the local cloud and
//! its machines, not of the tool.

use crate::journey::Journey;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// An environment as it is.
pub struct Here<'a> {
    journey: &'a Journey,
    pub pointer: Value,
    pub record: Value,
    /// Revisions that hosts or tasks run, one if it is whole.
    pub revisions: BTreeSet<String>,
}

impl<'a> Here<'a> {
    pub fn look(journey: &'a Journey) -> Self {
        let pointer = journey.project.pointer();
        let release = pointer["release"].as_str().unwrap_or("none");
        let record = journey.project.object(&format!("environments/local/releases/{release}.json"));
        Self { journey, record: record.unwrap_or(Value::Null), revisions: revisions(journey), pointer }
    }

    pub fn release(&self) -> &str {
        self.pointer["release"].as_str().unwrap_or("none")
    }

    fn artifact(&self, kind: &str) -> &str {
        let artifacts = self.record["artifacts"].as_array().unwrap();
        let found = artifacts.iter().find(|one| one["kind"] == kind);
        found
            .and_then(|one| one["digest"].as_str())
            .unwrap_or_else(|| panic!("no {kind} in {:#}", self.record))
    }

    /// The pointer names a release that is recorded and complete, every host runs it, nobody is at work, and no change
    /// set lies about.
    #[track_caller]
    pub fn is_whole(&self) {
        self.is_clear("");
        self.is_at_one("");
    }

    /// The same of a command that failed and said `told`.
    #[track_caller]
    pub fn is_at_one(&self, told: &str) {
        assert!(self.pointer.is_object() && self.record.is_object(), "{:#} {:#}", self.pointer, self.record);
        self.is_complete();
        self.is_clear(told);
        let runs = if self.journey.engine == "ec2" { "host-revision" } else { "image" };
        let wanted: BTreeSet<String> = [self.artifact(runs).to_owned()].into();
        assert_eq!(self.revisions, wanted, "hosts run another release than {}: {told}", self.release());
        assert_eq!(self.pointer["bundle"], self.artifact("bundle"));
        let status = self.cloud("DescribeStacks", &[("StackName", "ductwork-local")]);
        let status = between(&status, "<StackStatus>", "<").next().unwrap_or_default();
        assert!(status.ends_with("E_COMPLETE") && !status.starts_with("DELETE"), "{status}");
    }

    /// Nothing is left that runs, and nobody has the lease.
    #[track_caller]
    pub fn is_gone(&self) {
        assert_eq!(self.revisions, BTreeSet::new(), "hosts that go on");
        assert!(self.journey.project.object("environments/local/lock.json").is_none());
        let status = self.cloud("DescribeStacks", &[("StackName", "ductwork-local")]);
        assert!(!status.contains("<StackStatus>"), "{status}");
    }

    /// What the pointer names is in the bucket.
    #[track_caller]
    fn is_complete(&self) {
        let template = self.record["environment"]["template"].as_str().unwrap();
        let bundle = self.artifact("bundle");
        let mut keys = vec![
            format!("bundles/{bundle}.zip"),
            format!("bundles/{bundle}.dags.json"),
            format!("templates/{template}.yaml"),
        ];
        if self.journey.engine == "ec2" {
            keys.push(format!("hosts/{}.zip", self.artifact("host-revision")));
        }
        for key in keys {
            let url = format!("{}/ductwork-000000000000-us-east-1/{key}", self.journey.project.endpoint());
            assert!(ureq::head(&url).call().is_ok(), "{key} of release {}", self.release());
        }
    }

    /// Nobody holds the lease, and no change set waits; or the command said that it could not be helped.
    #[track_caller]
    pub fn is_clear(&self, told: &str) {
        let lease = self.journey.project.object("environments/local/lock.json").unwrap_or_default();
        let excused = ["lease could not be released", "lock.json`", "could not be undone"]
            .map(|one| told.contains(one));
        assert!(lease["held"] != true || lease["expires"] == 0 || excused[0] || excused[1], "{lease:#}");
        let sets = self.cloud("ListChangeSets", &[("StackName", "ductwork-local")]);
        let left: Vec<&str> = between(&sets, "<ExecutionStatus>", "<")
            .filter(|status| !status.starts_with("EXECUTE_"))
            .collect();
        assert!(left.is_empty() || excused[2], "change sets that nobody executes: {left:?} {sets}");
    }

    /// The newest record says what the command said.
    #[track_caller]
    pub fn tells(&self, result: &Value) {
        let newest = self.newest().unwrap_or_else(|| panic!("no record beside {result:#}"));
        for field in ["release", "outcome", "previous"] {
            assert_eq!(newest[field], result[field], "{field}: {newest:#}");
        }
    }

    pub fn newest(&self) -> Option<Value> {
        let prefix = "environments/local/deployments/";
        let endpoint = self.journey.project.endpoint();
        let url = format!("{endpoint}/ductwork-000000000000-us-east-1?list-type=2&prefix={prefix}");
        let list = ureq::get(&url).call().ok()?.body_mut().read_to_string().unwrap();
        let newest = between(&list, "<Key>", "<").max()?.to_owned();
        self.journey.project.object(&newest)
    }

    fn cloud(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let given: String = parameters.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let sent = ureq::post(self.journey.project.endpoint())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", signature("cloudformation"))
            .send(format!("Action={action}&Version=2010-05-15{given}"));
        sent.map(|mut answer| answer.body_mut().read_to_string().unwrap()).unwrap_or_default()
    }
}

/// The local cloud looks only for the service in it.
fn signature(service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=a/20261128/us-east-1/{service}/aws4_request")
}

/// The ids of all deployments of CodeDeploy that the tool has begun and that met an instance. Those of instances that
/// start are Auto Scaling's, and where all workers are replaced, theirs may come before there is another one.
pub fn deployments(journey: &Journey) -> BTreeSet<String> {
    let list = codedeploy(journey, "ListDeployments", &json!({}));
    let ids = list["deployments"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let counts = |id: &&str| {
        let asked = codedeploy(journey, "GetDeployment", &json!({ "deploymentId": id }));
        let info = &asked["deploymentInfo"];
        info["creator"] == "user" && info["errorInformation"]["code"] != "NO_INSTANCES"
    };
    ids.filter(counts).map(str::to_owned).collect()
}

fn codedeploy(journey: &Journey, operation: &str, input: &Value) -> Value {
    let asked = ureq::post(journey.project.endpoint())
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("X-Amz-Target", format!("CodeDeploy_20141006.{operation}"))
        .header("Authorization", signature("codedeploy"))
        .send(input.to_string());
    let text = asked.unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What the stubs that live say they run.
fn revisions(journey: &Journey) -> BTreeSet<String> {
    let state = journey.project.path().join(".ductwork/local");
    let mut found = BTreeSet::new();
    for folder in ["instances", "tasks"] {
        for host in fs::read_dir(state.join(folder)).into_iter().flatten().flatten() {
            let Ok(text) = fs::read_to_string(host.path().join("run/stub.json")) else { continue };
            let about: Value = serde_json::from_str(&text).unwrap_or_default();
            if fs::exists(format!("/proc/{}", about["pid"])).unwrap() {
                found.insert(about["revision"].as_str().unwrap_or("none").to_owned());
            }
        }
    }
    found
}

fn between<'a>(text: &'a str, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(from).skip(1).filter_map(move |rest| rest.split(to).next())
}
