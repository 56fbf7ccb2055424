//! Plans as people read them, within 80 columns, and as the contract has them.

use super::*;
use crate::model::change::{Action, Change, Fate, Replacement};
use crate::model::digest::Digest;
use std::collections::BTreeMap;

fn preview(steps: &[Step]) -> Preview {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let target = Release {
        bundle: digest("bundle"),
        host: digest("host"),
        template: digest("template"),
        parameters: BTreeMap::new(),
        commit: None,
    };
    Preview {
        environment: "dev".to_owned(),
        stack_name: "ductwork-dev".to_owned(),
        previous: Some("0123456789ab".to_owned()),
        target,
        steps: steps.to_vec(),
        dags: DagDiff::default(),
        stack: StackPreview::None,
        problems: Vec::new(),
    }
}

fn fits(preview: &Preview) -> String {
    let text = text(preview);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    text
}

const ALL: [Step; 8] = [
    Step::Validate,
    Step::Bootstrap,
    Step::Bundle,
    Step::Stack,
    Step::Hosts,
    Step::Pointer,
    Step::Dags,
    Step::Smoke,
];

#[test]
fn the_first_deployment() {
    let mut preview = preview(&ALL);
    preview.previous = None;
    preview.stack = StackPreview::Create;
    preview.dags.added = vec!["orders".to_owned(), "stock".to_owned()];
    insta::assert_snapshot!(fits(&preview), @r"
    release  f5631c329c25
    steps    validate, bootstrap, bundle, stack, hosts, pointer, dags, smoke
    DAGs     added: orders, stock
    stack    `ductwork-dev` is created
    ");
}

#[test]
fn changes_many_dags_and_problems_stay_within_the_terminal() {
    let mut preview = preview(&ALL[..4]);
    preview.dags.removed = (0..500).map(|number| format!("a_dag_with_a_long_name_{number}")).collect();
    preview.dags.moved = vec!["stock".to_owned()];
    preview.stack = StackPreview::Update(vec![Change {
        path: "Broker/Queue".to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        action: Action::Modify,
        replacement: Replacement::Always,
        fate: Fate::Deleted,
        reasons: vec!["QueueName".to_owned()],
        nested: Vec::new(),
    }]);
    let message = "NameError: name `x` is not defined\n".repeat(3) + &"word ".repeat(30);
    preview.problems = vec![Problem::new("import_error", "dags/a.py:3", message, "define it")];
    let text = fits(&preview);
    assert!(text.contains("a_dag_with_a_long_name_19 and 480 more"), "{text}");
    insta::assert_snapshot!(text.split_once("more\nDAGs     moved").unwrap().1, @r"
    : stock
    stack    `ductwork-dev` is updated

      ! Queue                           AWS::SQS::Queue
          REPLACED: QueueName
    1 to replace

    problem  dags/a.py:3: NameError: name `x` is not defined
             NameError: name `x` is not defined
             NameError: name `x` is not defined
             word word word word word word word word word word word word word word
             word word word word word word word word word word word word word word
             word word
             cure: define it
    ");
}

#[test]
fn a_stack_that_moves_is_no_error() {
    let mut preview = preview(&ALL[3..]);
    preview.stack = StackPreview::Unsettled("an operation is under way: UPDATE_IN_PROGRESS".to_owned());
    let text = fits(&preview);
    assert!(text.contains("has to come to rest first"), "{text}");
    assert_eq!(json(&preview)["stack"]["action"], "update");
}

#[test]
fn nothing_to_do_names_what_runs() {
    let preview = preview(&[Step::Health]);
    insta::assert_snapshot!(fits(&preview), @"nothing to do: `dev` runs release f5631c329c25");
}

#[test]
fn the_json_has_the_keys_of_the_contract() {
    let mut preview = preview(&ALL);
    preview.dags.added = vec!["orders".to_owned()];
    preview.problems = vec![Problem::new("kind", "where", "message", "hint")];
    let value = json(&preview);
    let keys = |value: &Value| {
        let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys.join(" ")
    };
    for key in ["environment", "release", "bundle", "image", "stack", "dags", "problems"] {
        assert!(value.get(key).is_some(), "{key}");
    }
    assert_eq!(keys(&value["bundle"]), "action digest");
    assert_eq!(value["bundle"]["action"], "upload");
    assert_eq!(keys(&value["stack"]), "action changes name");
    assert_eq!(keys(&value["dags"]), "added changed moved removed");
    assert_eq!(keys(&value["problems"][0]), "hint kind message where");
    assert_eq!(json(&self::preview(&[Step::Pointer]))["bundle"]["action"], "present");
}
