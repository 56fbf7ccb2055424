//! Receipts against what AWS says is alive.

use super::*;

fn receipt(id: &str, component: &str) -> Receipt {
    let revision = Digest::of(b"runtime").to_string();
    Receipt { component: component.to_owned(), id: id.to_owned(), revision, ..Receipt::default() }
}

fn processor(parsed: Parsed) -> [Receipt; 1] {
    [Receipt { bundle: Some(parsed), ..receipt("i-1", "dag-processor") }]
}

fn whole(bundle: &Digest) -> Parsed {
    Parsed { version: bundle.to_string(), dags: 2, dag_ids: set(["b", "a"]), ..Parsed::default() }
}

#[test]
fn a_set_of_dags_has_the_name_that_the_dag_processor_gives_it() {
    assert_eq!(set(["b", "a"]), Digest::of(b"a\nb\n").to_string());
}

#[test]
fn a_bundle_is_there_with_its_dags_or_it_is_said_how_far_it_is() {
    let bundle = Digest::of(b"bundle");
    let told = |parsed| has_bundle(&processor(parsed), &bundle, ["a", "b"]).unwrap_err();
    assert_eq!(has_bundle(&processor(whole(&bundle)), &bundle, ["a", "b"]), Ok(()));
    let other = Digest::of(b"other");
    let expected = format!("no dag-processor has bundle {} yet; one has {}", bundle.short(), other.short());
    assert_eq!(told(whole(&other)), expected);
    assert_eq!(
        has_bundle(&[], &bundle, ["a"]).unwrap_err(),
        format!("no dag-processor has bundle {} yet; one has no bundle", bundle.short())
    );
    let behind = Parsed { behind: 1, behind_named: vec!["b".to_owned()], ..whole(&bundle) };
    assert_eq!(told(behind), "1 DAGs are still those of another bundle: b");
    let broken = Parsed { import_errors: 1, import_errors_named: vec!["x.py".to_owned()], ..whole(&bundle) };
    assert_eq!(told(broken), "1 files of the bundle cannot be imported: x.py");
    let fewer = Parsed { dag_ids: set(["a"]), dags: 1, ..whole(&bundle) };
    assert_eq!(told(fewer), "the 1 DAGs of the bundle are not those of the release");
}

#[test]
fn a_worker_of_the_runtime_has_run_the_smoke_test() {
    let runtime = Digest::of(b"runtime");
    let run = |state: &str| TaskRun {
        run_id: "manual__1".to_owned(),
        state: state.to_owned(),
        ..TaskRun::default()
    };
    let worker = |revision: &[u8], state: &str| Receipt {
        revision: Digest::of(revision).to_string(),
        smoke: Some(run(state)),
        ..receipt("i-2", "worker")
    };
    assert_eq!(ran_smoke(&[worker(b"runtime", "success")], &runtime, "manual__1"), Ok(()));
    let told = |worker, run| ran_smoke(&[worker], &runtime, run).unwrap_err();
    assert_eq!(
        told(worker(b"runtime", "success"), "manual__2"),
        "no worker has run the smoke test `manual__2` yet"
    );
    assert_eq!(told(worker(b"runtime", "failure"), "manual__1"), "the smoke test ended on i-2 as `failure`");
    let old = told(worker(b"old", "success"), "manual__1");
    assert!(old.starts_with("the worker on i-2 that ran the smoke test is of revision "), "{old}");
}

#[test]
fn only_what_is_alive_counts_and_another_revision_or_bundle_is_seen() {
    let (runtime, bundle) = (Digest::of(b"runtime"), Digest::of(b"bundle"));
    let meant = Meant { runtime: Some(runtime), bundle: Some(bundle) };
    let place =
        |title: &str| Place { title: title.to_owned(), state: "InService".to_owned(), draining: false };
    let alive = ["i-1", "i-2", "i-3"].map(|id| (id.to_owned(), place("scheduler"))).into();
    let kept = |receipt, age| Kept { receipt, age };
    let old = Receipt { revision: Digest::of(b"old").to_string(), ..receipt("i-1", "scheduler") };
    let found = parts(
        vec![
            kept(receipt("i-1", "triggerer"), 10),
            kept(old, 20),
            kept(
                Receipt { bundle: Some(whole(&Digest::of(b"old"))), ..receipt("i-2", "dag-processor") },
                631,
            ),
            kept(receipt("i-9", "worker"), 1),
        ],
        &alive,
        &meant,
    );
    let seen: Vec<_> =
        found.parts.iter().map(|one| (one.receipt.component.as_str(), one.current, one.silent)).collect();
    assert_eq!(
        seen,
        [("triggerer", true, false), ("scheduler", false, false), ("dag-processor", false, true)]
    );
    let unheard: Vec<_> = found.unheard.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(unheard, ["i-3"]);
}

#[test]
fn a_receipt_of_a_later_release_with_more_in_it_can_be_read() {
    let text = r#"{"component": "worker", "id": "i", "revision": "r", "started": "t", "new": {"a": 1}}"#;
    assert_eq!(serde_json::from_str::<Receipt>(text).unwrap().id, "i");
}
