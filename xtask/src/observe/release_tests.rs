//! A recorded release is looked at as a whole before anybody relies on it.

use super::*;
use crate::doors::aws::Aws;
use crate::doors::fake::{ACCOUNT, Bucket, read_request};
use crate::fail::Kind;
use crate::model::cloud::Cloud;
use crate::model::engine::Engine;
use crate::model::objects::Objects;
use crate::model::release::{Outcome, Parts, StackSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const CHILD: &[u8] = b"Resources: {}\n";

/// A release whose root template has one child, and all of it in the bucket.
fn recorded(bucket: &Bucket) -> (Release, String, Digest) {
    let child = Digest::of(CHILD);
    let root = format!("TemplateURL: {}\n", names::template_url(None, "r", "b", &child));
    let digest = |text: &str| Digest::of(text.as_bytes());
    let release = Release::new(Parts {
        bundle: digest("bundle"),
        templates: None,
        image: None,
        engine: Engine::Ec2,
        runtime: Runtime::Hosts(digest("host")),
        stack: StackSpec { template: digest(&root), parameters: BTreeMap::new() },
        objects: Objects::default(),
        schema: None,
        commit: None,
        git: None,
    });
    bucket.set_bytes(&names::bundle_key(&release.bundle), b"bundle");
    bucket.set_bytes(&names::bundle_index_key(&release.bundle), b"[]");
    bucket.set_bytes(&names::host_key(release.runtime.digest()), b"host");
    bucket.set_bytes(&names::template_key(&release.stack.template), root.as_bytes());
    bucket.set_bytes(&names::template_key(&child), CHILD);
    (release, root, child)
}

#[tokio::test]
async fn a_whole_release_gives_its_root_template() {
    let bucket = Bucket::default();
    let (release, root, _) = recorded(&bucket);
    assert_eq!(whole(&bucket.store(), &release).await.unwrap(), root);
}

#[tokio::test]
async fn whatever_is_gone_is_told_at_once_and_nothing_is_touched() {
    let bucket = Bucket::default();
    let (release, _, child) = recorded(&bucket);
    let store = bucket.store();
    let keys = [
        names::bundle_key(&release.bundle),
        names::host_key(release.runtime.digest()),
        names::template_key(&child),
    ];
    for key in &keys {
        store.delete(key).await.unwrap();
    }
    let writes = bucket.lines().len();
    let fail = whole(&store, &release).await.unwrap_err();
    assert_eq!((fail.kind(), fail.kind().code()), (Kind::Usage, 2));
    let places: Vec<&str> = fail.all_problems().iter().map(|problem| problem.location.as_str()).collect();
    assert_eq!(places, keys.map(|key| store.location(&key)));
    assert_eq!(bucket.lines().len(), writes);

    store.delete(&names::template_key(&release.stack.template)).await.unwrap();
    assert_eq!(whole(&store, &release).await.unwrap_err().all_problems().len(), 3);
}

#[tokio::test]
async fn what_is_there_and_damaged_counts_as_gone() {
    let bucket = Bucket::default();
    let (release, _, child) = recorded(&bucket);
    let keys = [
        names::bundle_key(&release.bundle),
        names::host_key(release.runtime.digest()),
        names::bundle_index_key(&release.bundle),
        names::template_key(&child),
    ];
    for key in &keys {
        bucket.set_bytes(key, b"[");
    }
    let fail = whole(&bucket.store(), &release).await.unwrap_err();
    let places: Vec<&str> = fail.all_problems().iter().map(|problem| problem.location.as_str()).collect();
    assert_eq!(places, keys.map(|key| bucket.store().location(&key)));
}

#[tokio::test]
async fn a_damaged_list_of_the_dags_that_run_is_nothing_to_rely_on_and_keeps_nobody_out() {
    let bucket = Bucket::default();
    let (release, _, _) = recorded(&bucket);
    bucket.set(&names::pointer_key("dev"), &Pointer::next(None, &release));
    assert_eq!(current(&bucket.store()).await.unwrap().dags, Some(DagIndex::default()));
    bucket.set_bytes(&names::bundle_index_key(&release.bundle), b"[{");
    assert_eq!(current(&bucket.store()).await.unwrap().dags, None);
}

fn deployment(id: &str) -> Deployment {
    Deployment {
        deployment: id.to_owned(),
        release: "0123456789ab".to_owned(),
        previous: None,
        outcome: Outcome::Deployed,
        started: "2026-11-20T10:00:00.000Z".to_owned(),
        seconds: 1.0,
        by: "me".to_owned(),
        ..Deployment::default()
    }
}

/// An S3 that lists these deployments, and answers no read before there is one of each.
fn patient(ids: &'static [&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let key = |id: &str| format!("environments/dev/deployments/{id}.json");
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        for stream in listener.incoming().flatten() {
            let Some(request) = read_request(&stream) else { continue };
            let Some(id) = ids.iter().find(|id| request.line.contains(&key(id))) else {
                let keys = ids.iter().map(|id| format!("<Contents><Key>{}</Key></Contents>", key(id)));
                let list = format!("<ListBucketResult>{}</ListBucketResult>", keys.collect::<String>());
                answer(&stream, &list);
                continue;
            };
            waiting.push((stream, id));
            if waiting.len() == ids.len() {
                for (stream, id) in waiting.drain(..) {
                    answer(&stream, &serde_json::to_string(&deployment(id)).unwrap());
                }
            }
        }
    });
    url
}

fn answer(mut stream: &TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = write!(stream, "{head}{body}");
}

#[tokio::test]
async fn deployments_are_read_at_the_same_time_and_stay_newest_first() {
    let aws = Aws::connect("p-dev", "eu-central-1", Some(&patient(&["01", "02", "03"])), Cloud::Local).await;
    let store = Store::new(&aws, ACCOUNT, "dev");
    let all = tokio::time::timeout(Duration::from_secs(120), deployments(&store, 20)).await;
    let all = all.expect("one read waits for another").unwrap();
    let ids: Vec<&str> = all.iter().map(|one| one.deployment.as_str()).collect();
    assert_eq!(ids, ["03", "02", "01"]);
}

#[tokio::test]
async fn more_deployments_than_are_read_at_once_keep_their_order() {
    let bucket = Bucket::default();
    let ids: Vec<String> = (10..10 + 2 * READS).map(|number| number.to_string()).collect();
    for id in &ids {
        bucket.set(&names::deployment_key("dev", id), &deployment(id));
    }
    let all = deployments(&bucket.store(), ids.len() - 1).await.unwrap();
    let read: Vec<&String> = all.iter().map(|one| &one.deployment).collect();
    assert_eq!(read, ids[1..].iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn an_unknown_release_lists_those_there_are() {
    let bucket = Bucket::default();
    bucket.set("environments/dev/releases/0123456789ab.json", &1);
    let fail = release(&bucket.store(), "nope").await.unwrap_err();
    assert_eq!(fail.to_string(), "`dev` has no release `nope`: recorded are 0123456789ab");
}

#[tokio::test]
async fn a_long_history_costs_what_is_shown_of_it() {
    let bucket = Bucket::default();
    for number in 0..1_100 {
        let id = format!("01{number:06}");
        bucket.set(&names::deployment_key("dev", &id), &deployment(&id));
        bucket.set(&names::release_key("dev", &format!("{number:012}")), &"");
    }
    let found = deployments(&bucket.store(), 20).await.unwrap();
    assert_eq!((found.len(), found[0].deployment.as_str(), bucket.reads()), (20, "01001099", 20));
    let all = deployments(&bucket.store(), usize::MAX).await.unwrap();
    assert!(all.len() == 1_100 && all.is_sorted_by(|a, b| a.deployment > b.deployment));
    let fail = release(&bucket.store(), "none").await.unwrap_err();
    assert!(fail.causes()[0].ends_with("000000000009 and 1090 more"), "{fail}");
}

#[tokio::test]
async fn the_note_for_hosts_tells_what_a_migration_had_begun() {
    let bucket = Bucket::default();
    let store = bucket.store();
    assert_eq!(begun(&store).await.unwrap(), None);
    let schema = json!({ "airflow": "3.3.2", "revisions": { "alembic_version": ["a", "b"] } });
    let note =
        |direction: &str, schema: &Value| json!({ "direction": direction, "heads": {}, "schema": schema });
    bucket.set("environments/dev/migration.json", &note("up", &schema));
    assert_eq!(begun(&store).await.unwrap().unwrap().airflow, "3.3.2");
    bucket.set("environments/dev/migration.json", &note("down", &schema));
    assert_eq!(begun(&store).await.unwrap(), None, "the older code was on its way back");
    bucket.set("environments/dev/migration.json", &json!({ "direction": "up", "heads": {} }));
    assert_eq!(begun(&store).await.unwrap(), None, "a note of before");
}
