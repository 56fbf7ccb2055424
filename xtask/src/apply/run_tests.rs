//! What holds while a plan is carried out: the lease is the one the plan was made under, and is kept.

use super::super::fake::{context, plan, pointer_to, release};
use super::*;
use crate::apply::timed::Ended;
use crate::doors::fake::Bucket;
use crate::doors::time::Stopwatch;
use crate::model::event::Sink;
use crate::model::release::Deployment;
use crate::observe::lease::look;

const LOCK: &str = "environments/dev/lock.json";

async fn moved(bucket: &Bucket, progress: &mut Progress) -> Result<()> {
    let target = release("one", "h", "t");
    let plan = plan(&target, vec![pointer_to(&target)]);
    run(&context(bucket.aws()), &plan, progress).await
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_carried_out_under_the_lease_it_was_made_for() {
    let bucket = Bucket::default();
    let mut progress = Progress::default();
    moved(&bucket, &mut progress).await.unwrap();
    progress.lease.take().unwrap().release().await.unwrap();

    // Somebody deployed, or tried to, since the plan was made; even if the pointer is where it was.
    let store = bucket.store();
    let mut progress = Progress { holder: look(&store).await.unwrap(), ..Progress::default() };
    progress.state.pointer = store.read(&names::pointer_key("dev")).await.unwrap();
    lease::acquire(&store).await.unwrap().abandon().await.unwrap();
    let fail = moved(&bucket, &mut progress).await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
    assert!(fail.to_string().contains("just now"), "{fail}");
    assert!(progress.records.is_empty(), "no step began");
    assert!(progress.lease.unwrap().inherited, "and what they left is not forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_pointer_that_moved_without_a_lease_is_seen() {
    let bucket = Bucket::default();
    let theirs = Pointer::next(None, &release("theirs", "h", "t"));
    bucket.set("environments/dev/current.json", &theirs);
    let fail = moved(&bucket, &mut Progress::default()).await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
}

#[tokio::test(start_paused = true)]
async fn a_step_under_way_ends_when_the_lease_is_lost() {
    let bucket = Bucket::default();
    let lease = lease::acquire(&bucket.store()).await.unwrap();
    let mut theirs = bucket.get(LOCK);
    theirs["by"] = "somebody else".into();
    bucket.set(LOCK, &theirs);
    let endless = async {
        std::future::pending::<()>().await;
        Ok(Ended::done("never"))
    };
    let mut records = Vec::new();
    let work = async { Ok((lease.during(endless).await?, ())) };
    let fail = timed(&Sink::null().step("hosts"), &mut records, work).await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
    assert_eq!((records[0].name.as_str(), records[0].outcome.as_str()), ("hosts", "failed"));
}

/// A request of the holder before may be under way while its lease expires, and arrive when another one holds it.
#[tokio::test(start_paused = true)]
async fn a_late_write_of_the_holder_before_finds_another_pointer() {
    const POINTER: &str = "environments/dev/current.json";
    let (bucket, mut progress) = (Bucket::default(), Progress::default());
    moved(&bucket, &mut progress).await.unwrap();
    progress.lease.take().unwrap().release().await.unwrap();
    let store = bucket.store();
    let seen = store.read::<Pointer>(POINTER).await.unwrap().unwrap();
    assert_eq!(seen.value.token, Some(1));
    lease::acquire(&store).await.unwrap().abandon().await.unwrap();

    let mut next = Progress { holder: look(&store).await.unwrap(), ..Progress::default() };
    next.state.pointer = Some(seen.clone());
    take_lease(&context(bucket.aws()), &mut next).await.unwrap();
    let late = Pointer::next(Some(&seen.value), &release("late", "h", "t"));
    let written = store.write(POINTER, &late, Condition::Same(&seen.etag)).await.unwrap();
    assert_eq!(written, Written::Lost);
    let now = store.read::<Pointer>(POINTER).await.unwrap().unwrap();
    assert_eq!(now.value, Pointer { token: Some(3), ..seen.value }, "it says the same as before");
    assert_eq!(next.state.pointer.unwrap().etag, now.etag, "and the new holder goes on from there");
}

/// Whoever held it when the plan was made has renewed it since, moved the pointer and gone: the pointer as it was read
/// while the lease was asked for is of before.
#[tokio::test(start_paused = true)]
async fn a_lease_that_changed_since_the_plan_is_looked_at_again() {
    let bucket = Bucket::default();
    let store = bucket.store();
    lease::acquire(&store).await.unwrap().abandon().await.unwrap();
    let mut progress = Progress { holder: look(&store).await.unwrap(), ..Progress::default() };
    let mut theirs = bucket.get(LOCK);
    theirs["held"] = false.into();
    bucket.set(LOCK, &theirs);
    let moved_by_them = Pointer::next(None, &release("theirs", "h", "t"));
    // The last one comes first, with the write that finds the lease changed.
    bucket.intrude("environments/dev/current.json", &moved_by_them);
    bucket.intrude("elsewhere", &0);
    let fail = moved(&bucket, &mut progress).await.unwrap_err();
    assert_eq!(fail.kind(), Kind::Locked);
    assert!(progress.records.is_empty(), "no step began");
    assert_eq!(progress.lease.unwrap().token, 2, "it is the next one, and yet somebody was in between");
    assert_eq!(bucket.get("environments/dev/current.json")["release"], moved_by_them.release);
}

/// As with `--wait`, where the lease is taken before there is a plan to begin.
#[tokio::test(start_paused = true)]
async fn a_deployment_is_recorded_whenever_its_lease_was_taken() {
    let bucket = Bucket::default();
    let context = context(bucket.aws());
    let target = release("one", "h", "t");
    let mut progress = Progress::default();
    take_lease(&context, &mut progress).await.unwrap();
    let deployment = Deployment { deployment: "01".to_owned(), ..Deployment::default() };
    progress.journal = Some(Journal::new(&context.store, deployment, Stopwatch::start()));
    run(&context, &plan(&target, vec![pointer_to(&target)]), &mut progress).await.unwrap();
    assert_eq!(bucket.get("environments/dev/deployments/01.json")["token"], 1);
}
