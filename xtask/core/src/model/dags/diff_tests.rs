//! Every kind of change, and what is not known of earlier lists.

use super::*;
use serde_json::{Value, json};

fn index(dags: &Value) -> DagIndex {
    serde_json::from_value(dags.clone()).unwrap()
}

fn one(fields: &Value) -> DagIndex {
    let mut dag = json!({ "dag_id": "a", "file": "a.py", "schedule": "@daily", "tasks": ["x", "y"], "tags": ["t"],
        "owners": ["ann"], "params": { "day": "1", "size": "1" }, "paused": null });
    dag.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    index(&json!([dag]))
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_kind_of_change_is_told() {
    let dag =
        |id: &str, file: &str, schedule: &str| json!({ "dag_id": id, "file": file, "schedule": schedule });
    let old = json!([
        dag("same", "a.py", "1"),
        dag("gone", "a.py", "1"),
        dag("moved", "a.py", "1"),
        dag("changed", "a.py", "1"),
        dag("both", "a.py", "1")
    ]);
    let new = json!([
        dag("same", "a.py", "1"),
        dag("moved", "b.py", "1"),
        dag("changed", "a.py", "2"),
        dag("new", "b.py", "1"),
        dag("both", "b.py", "2")
    ]);
    let diff = DagDiff::between(&index(&old), &index(&new));
    assert_eq!((&diff.added, &diff.removed), (&strings(&["new"]), &strings(&["gone"])));
    assert_eq!((&diff.moved, &diff.changed), (&strings(&["both", "moved"]), &strings(&["changed"])));
    assert_eq!(diff.rescheduled, strings(&["both", "changed"]));
    assert_eq!(diff.breaking(), ["both", "moved", "gone"]);
    let ids: Vec<&str> = diff.details.iter().map(|one| one.dag_id.as_str()).collect();
    assert_eq!(ids, ["both", "changed", "gone", "moved", "new"]);
}

#[test]
fn a_changed_dag_says_what_is_different() {
    let new = json!({ "tasks": ["y", "z"], "tags": [], "owners": ["bob"], "schedule": null,
        "params": { "day": "2", "new": "1" } });
    let diff = DagDiff::between(&one(&json!({})), &one(&new));
    let change = serde_json::to_value(&diff.details[0]).unwrap();
    let expected = json!({
        "dag_id": "a",
        "change": "changed",
        "schedule": { "before": "@daily", "after": null },
        "tasks": { "added": ["z"], "changed": [], "removed": ["x"] },
        "tags": { "added": [], "changed": [], "removed": ["t"] },
        "owners": { "added": ["bob"], "changed": [], "removed": ["ann"] },
        "params": { "added": ["new"], "changed": ["day"], "removed": ["size"] },
        "paused": null,
    });
    assert_eq!(change, expected);
    assert_eq!(DagDiff::between(&one(&json!({})), &one(&json!({}))), DagDiff::default());
}

#[test]
fn what_an_earlier_list_does_not_say_has_not_changed() {
    let old = index(
        &json!([{ "dag_id": "a", "file": "a.py", "schedule": "@daily", "tasks": ["x", "y"], "tags": ["t"] }]),
    );
    assert_eq!(DagDiff::between(&old, &one(&json!({}))), DagDiff::default());
}

#[test]
fn what_dags_name_for_the_first_time_is_told_once() {
    let dag = |id: &str, connections: &[&str]| {
        json!({ "dag_id": id, "file": "a.py", "schedule": null, "connections": connections,
            "variables": ["lake"], "pools": ["default_pool"] })
    };
    let old = index(&json!([dag("a", &["known"])]));
    let new = index(&json!([dag("a", &["known", "new"]), dag("b", &["new"])]));
    let needs = new_needs(&old, &new);
    let rows: Vec<(&str, &str, Vec<&str>)> = needs
        .iter()
        .map(|need| (need.kind.word(), need.name.as_str(), need.dags.iter().map(String::as_str).collect()))
        .collect();
    let expected = [
        ("connection", "new", vec!["a", "b"]),
        ("variable", "lake", vec!["b"]),
        ("pool", "default_pool", vec!["b"]),
    ];
    assert_eq!(rows, expected);
    assert!(new_needs(&new, &new).is_empty());
}
