//! The lease: who gets it, who does not, and what its end tells the next one.

use super::*;
use crate::doors::fake::Bucket;
use serde_json::Value;

const KEY: &str = "environments/dev/lock.json";

fn held_by(pid: u32, realm: Option<String>) -> Document {
    Document { by: "ann".to_owned(), pid, realm, since: "then".to_owned(), ..mine(7) }
}

/// Somebody at work on another machine.
fn elsewhere() -> Document {
    Document { host: "far".to_owned(), run_url: Some("https://ci/1".to_owned()), ..held_by(1, None) }
}

/// A pid that no process has: the shell says its own and ends.
fn gone() -> u32 {
    let shell = proc::Cmd::new("/bin/sh", std::path::Path::new("/")).args(["-c", "echo $$"]);
    shell.run().unwrap().trim().parse().unwrap()
}

async fn take(bucket: &Bucket) -> Result<Lease> {
    acquire(&bucket.store()).await
}

fn document(bucket: &Bucket) -> Document {
    serde_json::from_value(bucket.get(KEY)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_holder_makes_it_and_the_next_one_counts_on() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    assert_eq!((lease.token, lease.inherited), (1, false));
    assert!(document(&bucket).is_live());
    lease.release().await.unwrap();
    assert!(!document(&bucket).is_live() && !document(&bucket).is_abandoned());
    let lease = take(&bucket).await.unwrap();
    assert_eq!((lease.token, lease.inherited), (2, false));
    assert_eq!(bucket.lines()[..2], [format!("if absent put {KEY}"), format!("if \"1\" put {KEY}")]);
}

#[tokio::test(start_paused = true)]
async fn a_living_holder_is_named_and_nothing_is_written() {
    let bucket = Bucket::default();
    for living in [elsewhere(), held_by(proc::pid(), proc::realm())] {
        bucket.set(KEY, &living);
        let fail = take(&bucket).await.unwrap_err();
        assert_eq!((fail.kind(), fail.kind().code()), (Kind::Locked, 6));
        let text = fail.to_string();
        assert!(text.contains("ann on") && text.contains("since then"), "{text}");
        assert_eq!(text.contains("https://ci/1"), living.run_url.is_some());
    }
    assert!(bucket.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_dead_are_succeeded_and_their_successor_knows() {
    let expired = Document { expires: time::unix() - 1, ..elsewhere() };
    for dead in [expired, held_by(gone(), proc::realm())] {
        let bucket = Bucket::default();
        bucket.set(KEY, &dead);
        assert!(dead.is_abandoned());
        let lease = take(&bucket).await.unwrap();
        assert_eq!((lease.token, lease.inherited), (8, true));
    }
}

#[tokio::test]
async fn a_pid_of_another_machine_of_the_same_name_says_nothing() {
    // Runners of one image and containers share a name; their pids are not ours.
    let living = held_by(gone(), Some("another boot".to_owned()));
    assert!(living.is_live());
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_tried_again() {
    let bucket = Bucket::default();
    bucket.intrude(KEY, &Document { held: false, ..elsewhere() });
    assert_eq!(take(&bucket).await.unwrap().token, 8);

    let bucket = Bucket::default();
    let theirs = elsewhere();
    bucket.intrude(KEY, &theirs);
    assert_eq!(take(&bucket).await.unwrap_err().kind(), Kind::Locked);
    assert_eq!(document(&bucket), theirs, "the winner keeps it");
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_until_somebody_else_has_it() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    time::sleep(RENEWAL * 3 + Duration::from_secs(1)).await;
    lease.check().unwrap();
    assert_eq!(bucket.lines().len(), 4);

    let (loss, theirs) = (lease.loss(), elsewhere());
    bucket.set(KEY, &theirs);
    time::sleep(RENEWAL).await;
    let fail = lease.check().unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
    loss.happens().await;
    lease.release().await.unwrap();
    assert_eq!(document(&bucket), theirs, "what is somebody else's is not given back");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_renewed_in_time_may_be_somebody_else_s() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    bucket.break_writes();
    time::sleep(RENEWAL * 2).await;
    lease.check().unwrap();
    // As after the machine has slept: the clock went on and the renewal did not.
    lease.expires.store(time::unix(), Ordering::Relaxed);
    assert!(lease.check().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_one_lets_others_in_and_warns_them() {
    let bucket = Bucket::default();
    take(&bucket).await.unwrap().abandon().await.unwrap();
    assert!(document(&bucket).is_abandoned());
    assert!(take(&bucket).await.unwrap().inherited);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_kept_never_reports_its_loss() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    let loss = lease.loss();
    lease.release().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(3600), loss.happens()).await;
    assert!(waited.is_err(), "a step that goes on after the end is not told that it lost");
    assert_eq!(bucket.get(KEY)["held"], Value::Bool(false));
}
