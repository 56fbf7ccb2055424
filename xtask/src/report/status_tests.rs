//! The screen of `status`, and its JSON.

use super::*;
use crate::model::receipt::{Parsed, Part, Receipt, Unheard};
use crate::model::release::Outcome;
use crate::model::status::Drifted;

fn running() -> Status {
    let row = |name: &str, healthy, heartbeat_age| ComponentHealth {
        name: name.to_owned(),
        healthy,
        heartbeat_age,
    };
    Status {
        environment: "dev".to_owned(),
        release: Some("0123456789ab".to_owned()),
        bundle: Some(Digest::of(b"bundle")),
        git: None,
        runtime: Some(Digest::of(b"host")),
        stack: Some(StackStatus::UpdateComplete),
        components: Ok(vec![row("metadatabase", true, None), row("scheduler", false, Some(61.2))]),
        unreachable: None,
        stack_name: "p-dev".to_owned(),
        parts: Parts::default(),
        loads: Vec::new(),
        alarms: Vec::new(),
        drift: None,
        last: None,
        unread: Vec::new(),
        services: Vec::new(),
        workers: Vec::new(),
        losses: Losses::default(),
        work: None,
        url: Some("http://127.0.0.1:8080".to_owned()),
    }
}

#[test]
fn a_sick_component_is_seen_at_once() {
    insta::assert_snapshot!(text(&running()), @r"
    environment  dev
    release      0123456789ab
    bundle       1e6ed65d77d6
    stack        UPDATE_COMPLETE
    runtime      4740ae6347b0
    alarms       none
    url          http://127.0.0.1:8080

    component     healthy  heartbeat
    metadatabase  yes
    scheduler     NO       61 s ago
    ");
}

#[test]
fn an_environment_that_never_was_is_an_answer_and_no_error() {
    let absent = Status {
        release: None,
        bundle: None,
        git: None,
        runtime: None,
        stack: None,
        url: None,
        components: Ok(Vec::new()),
        ..running()
    };
    assert!(text(&absent).ends_with("\nnot deployed; deploy it: cargo xtask deploy --env dev\n"));
    let value = json(&absent);
    assert!(value["release"].is_null() && value["stack"].is_null() && value["components"] == json!([]));
}

#[test]
fn hosts_that_drain_are_shown_and_what_was_cut_short() {
    let set = |name: &str, draining, standby| WorkerHosts {
        name: name.to_owned(),
        running: 2,
        wanted: 2,
        draining,
        standby,
    };
    let report = r#"{"host": "ip-1", "at": "2026-11-29T11:05:00Z", "why": "a rollout has replaced this host",
        "tasks": [{"dag_id": "etl", "run_id": "r1", "task_id": "load", "map_index": -1, "try_number": 1}]}"#;
    let losses = Losses::of([serde_json::from_str(report).unwrap()]);
    let workers = vec![set("default", 3, 0), set("big", 0, 1), set("small", 0, 0)];
    let status = Status { workers, losses, ..running() };
    insta::assert_snapshot!(text(&status).split_once("61 s ago\n\n").unwrap().1, @r"
    workers  hosts
    default  2 of 2  3 draining
    big      2 of 2  1 on standby until others have come

    in the last 24 hours:
    cut short: etl r1 load (try 1) on ip-1, a rollout has replaced this host
    ");
    assert_eq!(json(&status)["workers"][0]["draining"], 3);
    assert_eq!(json(&status)["cut_short"][0]["host"], "ip-1");
}

#[test]
fn services_tell_what_is_not_as_it_should_be() {
    let service = |title: &str, running| ServiceState {
        title: title.to_owned(),
        task_definition: "p-dev-x:3".to_owned(),
        image: Some(format!("r/i@sha256:{}", Digest::of(b"image"))),
        current: true,
        running,
        wanted: 2,
        ..ServiceState::default()
    };
    let services = vec![
        service("api-server", 2),
        ServiceState { current: false, failed: true, ..service("scheduler", 1) },
        ServiceState { draining: 3, ..service("worker default", 2) },
        ServiceState { title: "triggerer".to_owned(), ..ServiceState::default() },
    ];
    let status = Status { services, ..running() };
    let rows = text(&status);
    insta::assert_snapshot!(rows.split_once("61 s ago\n\n").unwrap().1, @r"
    service         tasks   image
    api-server      2 of 2  6105d6cc76af
    scheduler       1 of 2  6105d6cc76af  ANOTHER TASK DEFINITION, FAILED
    worker default  2 of 2  6105d6cc76af  3 draining
    triggerer       0 of 0                GONE
    ");
    assert_eq!(json(&status)["services"][2]["draining"], 3);
    assert_eq!(json(&running())["services"], json!([]));
}

#[test]
fn whoever_holds_the_environment_is_shown() {
    let work = |live| Work {
        live,
        by: "me".to_owned(),
        host: "h".to_owned(),
        since: "2026-11-20T10:00:00.000Z".to_owned(),
        url: None,
    };
    let status = |live| Status { work: Some(work(live)), ..running() };
    let line = "deployment   under way, by me on h since 2026-11-20T10:00:00.000Z\n";
    assert!(text(&status(true)).contains(line));
    assert!(text(&status(false)).contains("interrupted: deploy again, by me"));
    assert_eq!(json(&status(true))["deployment"]["live"], true);
}

#[test]
fn the_json_has_the_keys_of_the_contract() {
    let value = json(&Status { components: Err("no answer".to_owned()), ..running() });
    for key in ["environment", "release", "bundle", "components", "url"] {
        assert!(value.get(key).is_some(), "{key}");
    }
    assert_eq!(value["problem"], "no answer");
    for key in ["name", "healthy", "heartbeat_age_s", "revision"] {
        assert!(json(&running())["components"][0].get(key).is_some(), "{key}");
    }
}

fn part(component: &str, id: &str, age: u64) -> Part {
    let receipt = Receipt {
        component: component.to_owned(),
        id: id.to_owned(),
        revision: Digest::of(b"host").to_string(),
        started: "2026-11-29T10:00:00Z".to_owned(),
        ..Receipt::default()
    };
    let state = "InService".to_owned();
    Part { receipt, current: true, state, draining: false, heartbeat_age_s: age, silent: false }
}

fn worker(id: &str, revision: &[u8], draining: bool) -> Part {
    let part = part("worker", id, 200);
    let revision = Digest::of(revision).to_string();
    let worker_set = Some("a-set-of-a-rather-long-name".to_owned());
    Part { current: false, draining, receipt: Receipt { revision, worker_set, ..part.receipt }, ..part }
}

/// Everything that can be odd, with the longest names.
fn odd() -> Status {
    let parsed = Parsed { version: Digest::of(b"old bundle").to_string(), ..Parsed::default() };
    let processor = part("dag-processor", "i-0123456789abcdef0", 5);
    let processor =
        Part { current: false, receipt: Receipt { bundle: Some(parsed), ..processor.receipt }, ..processor };
    let old = (0..5).map(|number| worker(&format!("i-0123456789abcde{number:02}"), b"old", false));
    let silent = Part {
        silent: true,
        heartbeat_age_s: 4000,
        ..part("triggerer", "0123456789abcdef0123456789abcdef", 0)
    };
    let parts = [part("scheduler", "i-1", 12), part("scheduler", "i-2", 40), processor, silent];
    let unheard = Unheard {
        id: "i-0123456789abcdeff".to_owned(),
        title: "worker default".to_owned(),
        state: "Pending:Wait".to_owned(),
    };
    let load = Load {
        set: "default".to_owned(),
        queue: "default".to_owned(),
        queued: Some(12.0),
        running: Some(9.0),
        in_service: Some(3.0),
        wanted: Some(4.0),
    };
    let alarm = |name: &str| Alarm { name: format!("p-dev-{name}"), ..Alarm::default() };
    let drifted = Drifted {
        stack: "p-dev-Broker-1A2B".to_owned(),
        resource: "Queue".to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        status: "MODIFIED".to_owned(),
        properties: vec!["/VisibilityTimeout".to_owned()],
    };
    let drift = Drift {
        stacks: 25,
        unchecked: 2,
        drifted: vec!["p-dev-Broker-1A2B".to_owned(), "p-dev-Network-3C4D".to_owned()],
        age_s: Some(7300),
        resources: vec![drifted],
    };
    let parts = parts.into_iter().chain(old).chain([worker("i-9", b"old", true)]).collect();
    Status {
        parts: Parts { parts, unheard: vec![unheard] },
        loads: vec![load],
        alarms: vec![alarm("Observability-1A2B-SchedulerHeartbeat-3C4D"), alarm("Broker-1A2B-Old-5E6F")],
        drift: Some(drift),
        last: Some(Deployment {
            deployment: "01".to_owned(),
            release: "0123456789ab".to_owned(),
            outcome: Outcome::RolledBack,
            started: "2026-11-29T09:00:00.000Z".to_owned(),
            seconds: 185.0,
            by: "ada".to_owned(),
            ..Deployment::default()
        }),
        unread: vec!["cannot read the load of the workers: ThrottlingException".to_owned()],
        ..running()
    }
}

#[test]
fn whatever_is_not_as_released_is_seen_on_one_screen() {
    let text = text(&odd());
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.lines().count() <= 40, "{text}");
    insta::assert_snapshot!(text, @r"
    environment  dev
    release      0123456789ab
    bundle       1e6ed65d77d6
    stack        UPDATE_COMPLETE
    runtime      4740ae6347b0
    alarms       2 RING: Observability-1A2B-SchedulerHeartbeat-3C4D, Broker-1A2…
    drift        IN Broker, Network, looked for 2 h ago, not in 2 of 25 stacks
    last         rolled back 0123456789ab in 3 min 05 s, 2026-11-29 09:00, by ada
    url          http://127.0.0.1:8080

    component     healthy  heartbeat
    metadatabase  yes
    scheduler     NO       61 s ago

    component             on  runs          bundle        heard
    scheduler             2   4740ae6347b0                40 s
    dag-processor         1   4740ae6347b0  2f0979e66b23  5 s     ANOTHER BUNDLE
    triggerer             1   4740ae6347b0                66 min  SILENT
    worker a-set-of-a-r…  5   cba06b5736fa                3 min   ANOTHER REVISION
    worker a-set-of-a-r…  1   cba06b5736fa                3 min   draining
    ANOTHER BUNDLE, dag-processor: i-0123456789abcdef0
    SILENT, triggerer: 0123456789abcdef012…
    ANOTHER REVISION, worker a-set-of-a-r…: i-0123456789abcde00 and 4 more
    draining, worker a-set-of-a-r…: i-9
    no word yet, worker default (Pending:Wait): i-0123456789abcdeff

    queue    workers  wanted  queued  running
    default  3        4       12      9

    MODIFIED AWS::SQS::Queue Queue in p-dev-Broker-1A2B
      /VisibilityTimeout

    cannot read the load of the workers: ThrottlingException
    ");
}

#[test]
fn a_component_has_the_revisions_that_were_observed() {
    let value = json(&odd());
    assert_eq!(value["components"][1]["revision"], Digest::of(b"host").short());
    assert!(value["components"][0]["revision"].is_null(), "nobody has said it");
    let worker = &value["parts"][4];
    assert_eq!((worker["component"].as_str(), worker["current"].as_bool()), (Some("worker"), Some(false)));
    assert_eq!(value["queues"][0]["queued"], 12.0);
    assert_eq!(value["last_deployment"]["outcome"], "rolled_back");
}

#[test]
fn a_watcher_without_a_terminal_gets_a_line() {
    let line = odd().line();
    assert_eq!(
        line,
        "release 0123456789ab, 10 parts, 6 of another revision or bundle, 1 silent, 1 draining, 1 without a word, \
         2 alarms, 1 unread"
    );
    assert_eq!(running().line(), "release 0123456789ab, 0 parts");
}

#[test]
fn a_thousand_workers_are_a_line() {
    let parts: Vec<Part> = (0..1000).map(|number| part("worker", &format!("i-{number}"), 5)).collect();
    let status = Status { parts: Parts { parts, unheard: Vec::new() }, ..running() };
    assert!(text(&status).contains("worker     1000  "), "{}", text(&status));
}

#[test]
fn that_airflow_was_asked_through_s3_is_told() {
    let status = Status { unreachable: Some("its name is not known here".to_owned()), ..running() };
    let line = "\nAirflow cannot be reached from here (its name is not known here): asked through S3\n";
    assert!(text(&status).contains(line), "{}", text(&status));
    assert_eq!(json(&status)["unreachable"], "its name is not known here");
}
