//! The pointer: recorded first, moved by compare-and-swap; and DAGs that nothing is known of.

use super::super::fake::{context, plan, release};
use super::*;
use crate::doors::fake::Bucket;
use crate::model::event::Ending;

const POINTER: &str = "environments/dev/current.json";

async fn move_to(bucket: &Bucket, state: &mut State, name: &str) -> Result<Ended> {
    let target = release(name, "h", "t");
    pointer(&context(bucket.aws()), &plan(&target, Source::Tree, &[Step::Pointer]), state).await
}

#[tokio::test]
async fn the_release_is_recorded_before_the_pointer_names_it() {
    let bucket = Bucket::default();
    let mut state = State::default();
    let ended = move_to(&bucket, &mut state, "one").await.unwrap();
    let id = release("one", "h", "t").id();
    assert_eq!((ended.ending, ended.summary), (Ending::Done, format!("release {id}")));
    let record = format!("environments/dev/releases/{id}.json");
    assert_eq!(bucket.lines(), [format!("if absent put {record}"), format!("if absent put {POINTER}")]);
    assert_eq!((&bucket.get(POINTER)["release"], &bucket.get(POINTER)["serial"]), (&id.into(), &1.into()));
    assert!(state.touched);

    // On with the tag of the write before, and back to a release that is recorded already.
    move_to(&bucket, &mut state, "two").await.unwrap();
    move_to(&bucket, &mut state, "one").await.unwrap();
    assert_eq!(bucket.get(POINTER)["serial"], 3);
}

#[tokio::test]
async fn a_pointer_that_names_it_stays() {
    let bucket = Bucket::default();
    let mut state = State::default();
    move_to(&bucket, &mut state, "one").await.unwrap();
    state.touched = false;
    let writes = bucket.lines().len();
    assert_eq!(move_to(&bucket, &mut state, "one").await.unwrap().ending, Ending::Skipped);
    assert_eq!((bucket.lines().len(), state.touched), (writes, false));
}

#[tokio::test]
async fn a_pointer_that_somebody_moved_is_left_alone() {
    let bucket = Bucket::default();
    let mut state = State::default();
    move_to(&bucket, &mut state, "one").await.unwrap();
    state.touched = false;
    let theirs = Pointer { release: "theirs".to_owned(), bundle: Digest::of(b"x"), serial: 2 };
    bucket.set(POINTER, &theirs);
    let fail = move_to(&bucket, &mut state, "two").await.unwrap_err();
    assert_eq!((fail.kind(), fail.kind().code()), (Kind::Locked, 6));
    assert_eq!(bucket.get(POINTER)["release"], "theirs");
    assert!(!state.touched);
}

#[tokio::test]
async fn dags_that_nothing_is_known_of_are_not_called_verified() {
    let bucket = Bucket::default();
    let target = release("one", "h", "t");
    let plan = plan(&target, Source::Record, &[Step::Dags]);
    let fail = dags(&context(bucket.aws()), &plan, &mut State::default()).await.unwrap_err();
    assert!(fail.to_string().contains(".dags.json` is gone"), "{fail}");
}

#[tokio::test]
async fn smoke_is_left_out_only_where_it_was_proven_before() {
    let target = release("one", "h", "t");
    let mut plan = plan(&target, Source::Tree, &[Step::Smoke]);
    let context = context(Bucket::default().aws());
    // Not proven: it wants to look at Airflow, which has no address here.
    assert!(smoke(&context, &plan, &mut State::default()).await.is_err());
    plan.proven = true;
    assert_eq!(smoke(&context, &plan, &mut State::default()).await.unwrap().ending, Ending::Skipped);
    let rolled = &mut State { rolled: true, ..State::default() };
    assert!(smoke(&context, &plan, rolled).await.is_err());
}
