//! Every kind of change to DAGs in its row.

use super::*;
use crate::model::dags::{DagIndex, NeedKind};
use serde_json::{Value, json};

fn index(dags: &Value) -> DagIndex {
    serde_json::from_value(dags.clone()).unwrap()
}

/// One DAG of each kind, and needs of both sorts.
pub(in crate::report) fn everything() -> DagDiff {
    let dag = |id: &str, file: &str, schedule: Option<&str>, task: &str| {
        json!({ "dag_id": id, "file": file, "schedule": schedule, "tasks": [task], "tags": [], "owners": ["ann"],
            "params": { "day": task } })
    };
    let old = json!([
        dag("gone", "a.py", None, "x"),
        dag("stock", "old.py", Some("@daily"), "x"),
        dag("revenue", "r.py", Some("@daily"), "extract"),
        dag("nightly", "n.py", Some("0 1 * * *"), "x")
    ]);
    let new = json!([
        dag("orders", "o.py", Some("@hourly"), "x"),
        dag("stock", "new.py", Some("@daily"), "x"),
        dag("revenue", "r.py", Some("@daily"), "load"),
        dag("nightly", "n.py", None, "x")
    ]);
    let mut diff = DagDiff::between(&index(&old), &index(&new));
    for one in &mut diff.details {
        one.paused = Some(one.dag_id == "stock" || one.dag_id == "gone");
    }
    let need = |kind, name: &str, dags: &[&str]| Need {
        kind,
        name: name.to_owned(),
        dags: dags.iter().map(|id| (*id).to_owned()).collect(),
    };
    diff.lacking = vec![need(NeedKind::Connection, "warehouse", &["orders", "revenue"])];
    diff.unsure = vec![need(NeedKind::Variable, "lake", &["orders"])];
    diff
}

#[test]
fn each_kind_of_change_has_its_row() {
    let text = text(&everything(), "dev");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text, @r"
    DAGs     added: orders (@hourly)
    DAGs     removed: gone
    DAGs     moved: stock (old.py → new.py; paused)
    DAGs     rescheduled: nightly (0 1 * * * → no schedule)
    DAGs     changed: revenue (tasks added load, removed extract; params changed
             day)
    note     DAG `orders` and 1 more name the connection `warehouse`, which `dev`
             does not have: declare it in airflow/objects.toml, or create it in
             Airflow
    note     DAG `orders` names the variable `lake`; whether `dev` has it cannot be
             told, as it gave no answer
    ");
    assert_eq!(super::text(&DagDiff::default(), "dev"), "");
}

#[test]
fn a_page_marks_names() {
    let (rows, notes) = markdown(&everything(), "dev");
    let rows: Vec<String> = rows.into_iter().map(|(name, text)| format!("| {name} | {text} |")).collect();
    insta::assert_snapshot!(format!("{}\n{notes}", rows.join("\n")), @r"
    | DAGs added | `orders` (`@hourly`) |
    | DAGs removed | `gone` |
    | DAGs moved | `stock` (`old.py` → `new.py`; paused) |
    | DAGs rescheduled | `nightly` (`0 1 * * *` → no schedule) |
    | DAGs changed | `revenue` (tasks added `load`, removed `extract`; params changed `day`) |
    > DAG `orders` and 1 more name the connection `warehouse`, which `dev` does not have: declare it in airflow/objects.toml, or create it in Airflow

    > DAG `orders` names the variable `lake`; whether `dev` has it cannot be told, as it gave no answer
    ");
}

#[test]
fn many_are_counted() {
    let dags: Vec<Value> =
        (0..500).map(|n| json!({ "dag_id": format!("d{n:03}"), "file": "a.py", "schedule": null })).collect();
    let gone = text(&DagDiff::between(&index(&json!(dags)), &DagIndex::default()), "dev");
    assert!(gone.contains("d019 and 480 more"), "{gone}");
}
