//! What is in the record at each moment, and that no step waits for it.

use super::*;
use crate::doors::fake::Bucket;
use crate::model::event::Ending;
use crate::model::release::Outcome;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "environments/dev/deployments/01.json";

fn journal(bucket: &Bucket) -> Journal {
    let setup = StepRecord { name: "setup".to_owned(), outcome: "done".to_owned(), ..StepRecord::default() };
    let deployment = Deployment { deployment: "01".to_owned(), steps: vec![setup], ..Deployment::default() };
    Journal::new(&bucket.store(), deployment, Stopwatch::start())
}

/// As soon as the record is so.
async fn until(bucket: &Bucket, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..10_000 {
        let record = bucket.get(KEY);
        if holds(&record) {
            return record;
        }
        time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{:#}", bucket.get(KEY));
}

#[tokio::test]
async fn the_record_tells_what_has_begun_before_it_has_ended() {
    let bucket = Bucket::default();
    let mut journal = journal(&bucket);
    let step = journal.listen(&Sink::null()).step("stack");
    assert_eq!(bucket.get(KEY), Value::Null, "nothing before there is a lease");
    journal.begin(7).await;
    let first = bucket.get(KEY);
    assert_eq!((&first["outcome"], &first["token"]), (&json!("running"), &json!(7)));
    assert_eq!(first["steps"][0]["name"], "setup", "what was done before the lease is not forgotten");

    step.started();
    let record = until(&bucket, |record| record["steps"][1]["name"] == "stack").await;
    assert_eq!(record["steps"][1]["outcome"], "running");
    assert!(record["steps"][1]["started"].is_string());
    let part = step.step("layer 0123");
    part.started();
    part.ended(Ending::Done, Duration::from_secs(1), "a part of the step is none");
    step.progress("a line that is replaced by the next");
    step.note("a line to keep");
    step.ended(Ending::Failed, Duration::from_secs(2), "3 created");
    journal.listen(&Sink::null()).step("hosts").started();
    let record = until(&bucket, |record| record["steps"][1]["outcome"] == "failed").await;
    assert_eq!(
        (&record["steps"][1]["notes"], &record["steps"][1]["seconds"]),
        (&json!(["a line to keep"]), &json!(2.0))
    );
    assert_eq!((record["outcome"].as_str(), record["steps"].as_array().unwrap().len()), (Some("running"), 3));

    let (deployment, written) = journal.end(Some(7), |ended| ended.outcome = Outcome::RolledBack).await;
    written.unwrap();
    assert_eq!(bucket.get(KEY), serde_json::to_value(&deployment).unwrap());
    assert_eq!(bucket.get(KEY)["outcome"], "rolled_back");
}

#[tokio::test]
async fn without_a_lease_nothing_is_written() {
    let bucket = Bucket::default();
    let journal = journal(&bucket);
    journal.listen(&Sink::null()).step("health").started();
    let (deployment, written) = journal.end(None, |ended| ended.outcome = Outcome::Unchanged).await;
    written.unwrap();
    assert_eq!((deployment.steps.len(), bucket.lines().len()), (2, 0));
}

#[tokio::test]
async fn what_happens_during_a_write_goes_into_the_next_one() {
    let bucket = Bucket::default();
    let mut journal = journal(&bucket);
    let sink = journal.listen(&Sink::null());
    journal.begin(1).await;
    for number in 0..30 {
        sink.step("hosts").started();
        sink.step("hosts").note(format!("{number}"));
        sink.step("hosts").ended(Ending::Done, Duration::ZERO, "");
    }
    journal.end(Some(1), |ended| ended.outcome = Outcome::Deployed).await.1.unwrap();
    assert_eq!(bucket.get(KEY)["steps"].as_array().unwrap().len(), 31);
    let writes = bucket.lines().len();
    assert!(writes <= 3, "{writes} writes of 90 events");
}

#[tokio::test]
async fn a_write_that_failed_or_whose_answer_was_lost_does_not_end_the_record() {
    let bucket = Bucket::default();
    let mut journal = journal(&bucket);
    let sink = journal.listen(&Sink::null());
    journal.begin(1).await;
    bucket.break_writes();
    sink.step("stack").started();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    bucket.mend_writes();
    // Carried out by S3, and the tool never learned it.
    let mut theirs = bucket.get(KEY);
    theirs["steps"][0]["seconds"] = json!(9.0);
    bucket.set(KEY, &theirs);
    journal.end(Some(1), |ended| ended.outcome = Outcome::Deployed).await.1.unwrap();
    assert_eq!(bucket.get(KEY)["outcome"], "deployed");
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_told_at_the_end() {
    let bucket = Bucket::default();
    bucket.break_writes();
    let mut journal = journal(&bucket);
    journal.begin(1).await;
    assert!(journal.end(Some(1), |ended| ended.outcome = Outcome::Deployed).await.1.is_err());
}

#[test]
fn of_thousands_of_lines_some_are_kept() {
    let bucket = Bucket::default();
    let journal = journal(&bucket);
    let step = journal.listen(&Sink::null()).step("hosts");
    step.started();
    for _ in 0..2 * NOTES {
        step.note("x".repeat(2 * NOTE));
    }
    let draft = journal.pages.draft().clone();
    assert_eq!((draft.steps[1].notes.len(), draft.steps[1].notes[0].len()), (NOTES, NOTE));
}
