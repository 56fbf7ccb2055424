//! A deployment that is stopped, as a laptop stops it that sleeps, and comes back when others have deployed.

use super::{Stage, announce};
use crate::environments;
use crate::support::project::Project;
use serde_json::json;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const LOCK: &str = "environments/local/lock.json";
/// For so long after its last renewal a holder does not ask; see `apply/lease.rs`.
const FRESH: Duration = Duration::from_secs(41);

/// The deployment that sleeps.
pub struct Sleeper {
    child: Child,
    since: Instant,
}

/// A deployment begins to change the platform and is stopped. Its lease expires, without the 90 s that this takes.
pub fn falls_asleep(stage: &Stage, text: &str) -> Sleeper {
    announce("a deployment falls asleep");
    let project = &stage.project;
    environments::write(project, text);
    let child = project.spawn(&["deploy", "--env", "local", "--yes"]);
    let lock = until(|| project.object(LOCK).filter(|lock| lock["held"] == true));
    signal("STOP", &child);
    let mut expired = project.object(LOCK).unwrap();
    assert_eq!(expired["token"], lock["token"]);
    expired["expires"] = json!(0);
    let url = format!("{}/ductwork-000000000000-us-east-1/{LOCK}", project.endpoint());
    ureq::put(&url).send(expired.to_string()).unwrap();
    Sleeper { child, since: Instant::now() }
}

/// It comes back when others have deployed, ends with exit code 6, and has written nothing.
pub fn wakes_up(stage: &Stage, sleeper: Sleeper) {
    announce("it wakes up");
    let project = &stage.project;
    std::thread::sleep(FRESH.saturating_sub(sleeper.since.elapsed()));
    assert_eq!(project.object(LOCK).unwrap()["held"], false, "the others are done");
    let before = written(project);
    signal("CONT", &sleeper.child);
    let ended = sleeper.child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(6), "{told}");
    assert!(told.contains("the lease was lost"), "{told}");
    assert_eq!(written(project), before);
}

/// Every record of the environment with its tag, and how much CloudFormation has done.
fn written(project: &Project) -> (String, usize) {
    let endpoint = project.endpoint();
    let list = format!("{endpoint}/ductwork-000000000000-us-east-1?list-type=2&prefix=environments/local/");
    let listed = ureq::get(&list).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(listed.contains(LOCK) && listed.contains("<ETag>"), "{listed}");
    let who = "AWS4-HMAC-SHA256 Credential=local/20261128/us-east-1/cloudformation/aws4_request";
    let events = ureq::post(&endpoint)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Authorization", who)
        .send("Action=DescribeStackEvents&Version=2010-05-15&StackName=ductwork-local")
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let events = events.matches("<EventId>").count();
    assert!(events > 0);
    (listed, events)
}

fn signal(name: &str, child: &Child) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}
