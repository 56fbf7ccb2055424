//! The lease: who gets it, who does not, and what its end tells the next one.

use super::*;
use crate::doors::fake::Bucket;
use crate::model::digest::Digest;
use crate::model::release::Runtime;
use crate::observe::lease::Seen;
use crate::plan::deployment::{Repeat, Rollout};
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

async fn seen(bucket: &Bucket) -> Seen {
    look(&bucket.store()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_holder_makes_it_and_the_next_one_counts_on() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    assert_eq!((lease.token, lease.inherited), (1, false));
    assert!(seen(&bucket).await.is_live());
    lease.release().await.unwrap();
    assert!(!seen(&bucket).await.is_live() && !seen(&bucket).await.is_abandoned());
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
    for (dead, silent) in [(elsewhere(), EXPIRY), (held_by(gone(), proc::realm()), Duration::ZERO)] {
        let bucket = Bucket::default();
        bucket.set(KEY, &dead);
        bucket.pass(silent);
        assert!(seen(&bucket).await.is_abandoned());
        let lease = take(&bucket).await.unwrap();
        assert_eq!((lease.token, lease.inherited), (8, true));
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_s3_decides_and_not_the_holder_s() {
    const HOUR: i64 = 60 * 60;
    let bucket = Bucket::default();
    bucket.set(KEY, &Document { expires: time::unix() - HOUR, ..elsewhere() });
    bucket.pass(EXPIRY - Duration::from_secs(1));
    assert_eq!(take(&bucket).await.unwrap_err().kind(), Kind::Locked, "its clock is behind, and it lives");

    bucket.set(KEY, &Document { expires: time::unix() + HOUR, ..elsewhere() });
    bucket.pass(EXPIRY);
    assert!(take(&bucket).await.unwrap().inherited, "its clock is ahead, and it is dead");
}

#[tokio::test]
async fn a_pid_of_another_machine_of_the_same_name_says_nothing() {
    // Runners of one image and containers share a name; their pids are not ours.
    let bucket = Bucket::default();
    bucket.set(KEY, &held_by(gone(), Some("another boot".to_owned())));
    assert!(seen(&bucket).await.is_live());
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
    assert_eq!(seen(&bucket).await.document(), &theirs, "the winner keeps it");
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_until_somebody_else_has_it() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    time::sleep(RENEWAL * 3 + Duration::from_secs(1)).await;
    lease.check().await.unwrap();
    assert_eq!(bucket.lines().len(), 4);

    let theirs = elsewhere();
    bucket.set(KEY, &theirs);
    time::sleep(RENEWAL).await;
    let fail = lease.check().await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
    lease.loss().await;
    assert!(fail.to_string().contains("ann on far took it at then"), "{fail}");
    lease.release().await.unwrap();
    assert_eq!(seen(&bucket).await.document(), &theirs, "what is somebody else's is not given back");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_repeated_for_as_long_as_the_lease_lasts() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    bucket.break_writes();
    // A single attempt may take its whole patience of a clock that goes on while nothing is done.
    time::sleep(EXPIRY - Duration::from_secs(30)).await;
    bucket.mend_writes();
    time::sleep(Duration::from_secs(29)).await;
    assert!(bucket.lines().len() > 1, "renewed before it expired");
    lease.check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_expired_is_lost_and_can_be_taken_back_if_nobody_else_took_it() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    bucket.break_writes();
    lease.loss().await;
    assert_eq!(lease.check().await.unwrap_err().kind(), Kind::Locked);
    bucket.mend_writes();
    lease.check().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(3600), lease.loss()).await;
    assert!(waited.is_err(), "it is renewed again");
}

#[tokio::test(start_paused = true)]
async fn after_the_machine_has_slept_s3_is_asked() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    bucket.set(KEY, &elsewhere());
    lease.check().await.unwrap();
    lease.oversleep().await;
    assert_eq!(lease.check().await.unwrap_err().kind(), Kind::Locked);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_one_lets_others_in_and_warns_them() {
    let bucket = Bucket::default();
    take(&bucket).await.unwrap().abandon().await.unwrap();
    assert!(seen(&bucket).await.is_abandoned());
    assert!(take(&bucket).await.unwrap().inherited);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_kept_never_reports_its_loss() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    let tenure = lease.tenure.clone();
    lease.release().await.unwrap();
    let mut lost = tenure.lost.subscribe();
    let waited = tokio::time::timeout(Duration::from_secs(3600), lost.wait_for(Option::is_some)).await;
    assert!(waited.is_err(), "a step that goes on after the end is not told that it lost");
    assert_eq!(bucket.get(KEY)["held"], Value::Bool(false));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_answer_never_came_is_not_taken_for_somebody_else_s() {
    let bucket = Bucket::default();
    let lease = take(&bucket).await.unwrap();
    let written = Document { expires: 1, ..seen(&bucket).await.document().clone() };
    bucket.set(KEY, &written);
    let waited = tokio::time::timeout(RENEWAL * 3, lease.loss()).await;
    assert!(waited.is_err(), "nobody else has it");
    assert_ne!(seen(&bucket).await.document(), &written, "renewed with the tag that was found");
}

#[tokio::test(start_paused = true)]
async fn an_interruption_gives_it_back_unless_aws_goes_on() {
    let bundle = Digest::of(b"bundle");
    let rollout = Rollout { runtime: Runtime::Hosts(bundle), repeat: Repeat::No, canary: None };
    for (step, lives) in [(Step::Dags(bundle), false), (Step::Rollout(rollout), true)] {
        let bucket = Bucket::default();
        let work = async {
            let lease = take(&bucket).await.unwrap();
            lease.covers(&step);
            std::future::pending::<()>().await;
            drop(lease);
        };
        let stop = async {
            while bucket.lines().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        assert!(until_stopped(work, stop).await.is_none());
        assert_eq!(seen(&bucket).await.is_live(), lives, "{step}");
        assert_eq!(seen(&bucket).await.is_abandoned(), !lives, "its successor looks at everything");
    }
}
