//! What holds while a plan is carried out: the lease is the one the plan was made under, and is kept.

use super::super::fake::{context, plan, pointer_to, release};
use super::*;
use crate::apply::timed::Ended;
use crate::doors::fake::Bucket;
use crate::model::event::Sink;

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
    let mut progress = Progress { token: Some(1), ..Progress::default() };
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

    let mut next = Progress { token: Some(2), ..Progress::default() };
    next.state.pointer = Some(seen.clone());
    take_lease(&context(bucket.aws()), &mut next).await.unwrap();
    let late = Pointer::next(Some(&seen.value), &release("late", "h", "t"));
    let written = store.write(POINTER, &late, Condition::Same(&seen.etag)).await.unwrap();
    assert_eq!(written, Written::Lost);
    let now = store.read::<Pointer>(POINTER).await.unwrap().unwrap();
    assert_eq!(now.value, Pointer { token: Some(3), ..seen.value }, "it says the same as before");
    assert_eq!(next.state.pointer.unwrap().etag, now.etag, "and the new holder goes on from there");
}
