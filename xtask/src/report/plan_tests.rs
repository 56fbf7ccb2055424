//! Plans as people read them, within 80 columns, and as the contract has them.

use super::*;
use crate::fail::Problem;
use crate::model::change::{Change, ChangeAction, Evidence, Fate, Replacement};
use crate::model::dags::{DagChange, DagFate};
use crate::model::digest::Digest;
use crate::model::engine::Engine;
use crate::model::git::GitSource;
use crate::model::objects::{Objects, Pool, Variable};
use crate::model::release::{Parts, Release, Runtime, StackSpec};
use crate::model::schema::{Migration, Schema};
use crate::plan::deployment::{Facts, Source, plan};
use crate::plan::running::{Records, Running};
use std::collections::BTreeMap;

pub(in crate::report) fn target() -> Release {
    let digest = |text: &str| Digest::of(text.as_bytes());
    Release::new(Parts {
        bundle: digest("bundle"),
        templates: None,
        image: None,
        engine: Engine::Ec2,
        runtime: Runtime::Hosts(digest("host")),
        stack: StackSpec { template: digest("template"), parameters: BTreeMap::new() },
        objects: Objects::default(),
        schema: None,
        commit: None,
        git: None,
    })
}

/// A plan from `running` to the target, which the gates `stack` and `ports` have judged.
fn preview(running: Running) -> Preview {
    let facts = Facts { without_bucket: running.release.is_none(), running, ..Facts::default() };
    let mut plan = plan(&target(), Source::Tree, &facts);
    plan.previous = Some("0123456789ab".to_owned());
    let gate =
        |name, outcome, reason| Gate { name, outcome, reason, problems: Vec::new(), ..Gate::default() };
    Preview {
        environment: "dev".to_owned(),
        stack_name: "ductwork-dev".to_owned(),
        plan,
        dags: DagDiff::default(),
        contents: Contents::default(),
        stack: StackPreview::None,
        gates: vec![gate("stack", "passed", None), gate("ports", "skipped", Some("not on this machine"))],
    }
}

/// For other forms of a plan.
pub(in crate::report) fn preview_of_everything() -> Preview {
    preview(Running::default())
}

fn refused(problem: Problem) -> Gate {
    Gate { name: "dags", outcome: "refused", problems: vec![problem], ..Gate::default() }
}

fn everything_runs() -> Running {
    let target = target();
    Running {
        begun: None,
        release: Some(target.id().to_owned()),
        bundle: Some(target.bundle),
        image: target.image,
        dags: Some(target.bundle),
        stack: Some(target.stack.clone()),
        objects: Some(target.objects.clone()),
        pools: Some(target.objects.pools.clone()),
        runtime: Some(target.runtime),
        served: None,
        schema: target.schema.clone(),
        proven: true,
    }
}

fn fits(preview: &Preview) -> String {
    let text = text(preview);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    text
}

fn with_env(json: &str) -> Release {
    let mut parts = (*target()).clone();
    parts.stack.parameters.insert("EnvironmentVariables".to_owned(), json.to_owned());
    Release::new(parts)
}

#[test]
fn variables_by_what_happens_to_them() {
    let mut preview = preview(Running::default());
    let old = with_env(r#"{"GONE":"x","LAKE":"a","SAME":"x"}"#);
    let new = with_env(r#"{"LAKE":"b","NEW":"x","SAME":"x"}"#);
    preview.contents = Contents::between(Some(&old), &new);
    let text = fits(&preview);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("env ")).collect();
    assert_eq!(rows, ["env      added: NEW", "env      changed: LAKE", "env      removed: GONE"]);
    let expected = json!({"added": ["NEW"], "changed": ["LAKE"], "removed": ["GONE"]});
    assert_eq!(json(&preview)["env"], expected);
    let mut parts = (*new).clone();
    parts.objects.pools.insert("warehouse".to_owned(), Pool::default());
    parts.objects.variables.insert("lake".to_owned(), Variable::Plain("x".to_owned()));
    preview.contents = Contents::between(Some(&old), &Release::new(parts));
    let text = fits(&preview);
    assert!(text.contains("\nobjects  variables added: lake\nobjects  pools added: warehouse\n"), "{text}");
    assert_eq!(json(&preview)["objects"]["pools"]["added"], json!(["warehouse"]));
    assert_eq!(Contents::between(None, &new).env.added, ["LAKE", "NEW", "SAME"]);
}

#[test]
fn a_reference_that_has_moved_is_told_with_both_commits() {
    let of = |commit: &str| {
        let mut parts = (*target()).clone();
        parts.git = Some(GitSource {
            url: "https://h/dags".to_owned(),
            reference: "main".to_owned(),
            path: "dags".to_owned(),
            commit: commit.to_owned(),
        });
        Release::new(parts)
    };
    let mut preview = preview(Running::default());
    let told =
        |preview: &Preview| fits(preview).lines().find(|line| line.starts_with("git ")).map(str::to_owned);
    assert_eq!(told(&preview), None);
    preview.contents = Contents::between(Some(&of("abc1234000")), &of("def5678000"));
    let row = "git      https://h/dags main: abc1234 → def5678; `dags/` of this project is not";
    assert_eq!(told(&preview).as_deref(), Some(row));
    let expected = json!({"url": "https://h/dags", "ref": "main", "path": "dags", "commit": "def5678000",
                          "previous": "abc1234000"});
    assert_eq!(json(&preview)["git"], expected);
    assert!(preview.markdown().contains("| git | `https://h/dags main: abc1234 → def5678` |"));
    preview.contents = Contents::between(Some(&target()), &of("def5678000"));
    assert!(told(&preview).unwrap().starts_with("git      https://h/dags main at def5678; `dags/`"));
}

#[test]
fn another_engine() {
    let mut preview = preview(Running::default());
    let mut parts = (*target()).clone();
    parts.engine = Engine::Fargate;
    preview.contents = Contents::between(Some(&Release::new(parts)), &target());
    let text = fits(&preview);
    let told = "engine   changes: fargate → ec2; replaces the services of ECS by hosts, keeps\n         database, broker, secrets, logs and bundles; workers end their running\n         tasks first, within three hours\n";
    assert!(text.contains(told), "{text}");
    assert_eq!(json(&preview)["engine"], json!({ "from": "fargate", "to": "ec2" }));
    assert_eq!(Contents::between(Some(&target()), &target()).engine, None);
}

#[test]
fn the_first_deployment() {
    let mut preview = preview(Running::recorded(None, None, Records::Trusted));
    preview.plan.previous = None;
    preview.stack = StackPreview::Create;
    let added =
        |id: &str| DagChange { dag_id: id.to_owned(), change: DagFate::Added, ..DagChange::default() };
    preview.dags.details = vec![added("orders"), added("stock")];
    insta::assert_snapshot!(fits(&preview), @r"
    release  65b538219a12
    steps    validate, bootstrap, bundle, stack, hosts, pointer, dags, smoke
    DAGs     added: orders (no schedule), stock (no schedule)
    stack    `ductwork-dev` is created
    gates    passed: stack
    gates    skipped: ports (not on this machine)
    ");
}

#[test]
fn changes_many_dags_and_problems_stay_within_the_terminal() {
    let mut preview = preview(Running::default());
    preview.dags = dags::tests::everything();
    let gone = |number| DagChange {
        dag_id: format!("a_dag_with_a_long_name_{number:03}"),
        change: DagFate::Removed,
        ..DagChange::default()
    };
    preview.dags.details.splice(0..0, (0..500).map(gone));
    let changes = vec![Change {
        path: "Broker/Queue".to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        action: ChangeAction::Modify,
        replacement: Replacement::Always,
        fate: Fate::Deleted,
        reasons: vec!["QueueName".to_owned()],
        evidence: Evidence::Known,
        nested: Vec::new(),
    }];
    let unseen = "changes inside nested stacks cannot be previewed: Template error: nothing there";
    preview.stack = StackPreview::Update { changes, unseen: Some(unseen.to_owned()) };
    let message = "NameError: name `x` is not defined\n".repeat(3) + &"word ".repeat(30);
    preview.gates.push(refused(Problem::new("import_error", "dags/a.py:3", message, "define it")));
    let text = fits(&preview);
    assert!(text.contains("a_dag_with_a_long_name_019 and 481 more"), "{text}");
    insta::assert_snapshot!(text.split_once("more\nDAGs     moved").unwrap().1, @r"
    : stock (old.py → new.py; paused)
    DAGs     rescheduled: nightly (0 1 * * * → no schedule)
    DAGs     changed: revenue (tasks added load, removed extract; params changed
             day)
    stack    `ductwork-dev` is updated
    stack    changes inside nested stacks cannot be previewed: Template error:
             nothing there

      ! Queue                           AWS::SQS::Queue
          REPLACED: QueueName
    1 to replace

    note     DAG `orders` and 1 more name the connection `warehouse`, which `dev`
             does not have: declare it in airflow/objects.toml, or create it in
             Airflow
    note     DAG `orders` names the variable `lake`; whether `dev` has it cannot be
             told, as it gave no answer
    gates    passed: stack
    gates    skipped: ports (not on this machine)
    gates    refused: dags

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
fn a_stack_with_an_operation_in_progress_is_not_an_error() {
    let mut preview = preview(Running::default());
    preview.stack = StackPreview::Unsettled("an operation is in progress: UPDATE_IN_PROGRESS".to_owned());
    let text = fits(&preview);
    assert!(text.contains("cannot preview the changes of `ductwork-dev`"), "{text}");
    assert_eq!(json(&preview)["stack"]["action"], "update");
}

#[test]
fn nothing_to_do_names_what_runs() {
    let mut preview = preview(everything_runs());
    preview.plan.previous = None;
    insta::assert_snapshot!(fits(&preview), @"nothing to do: `dev` runs release 65b538219a12");
}

#[test]
fn the_json_has_the_keys_of_the_contract() {
    let mut preview = preview(Running::default());
    preview.dags = dags::tests::everything();
    preview.gates.push(refused(Problem::new("kind", "where", "message", "hint")));
    let value = json(&preview);
    let keys = |value: &Value| {
        let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys.join(" ")
    };
    for key in ["environment", "release", "bundle", "image", "stack", "dags", "gates", "problems"] {
        assert!(value.get(key).is_some(), "{key}");
    }
    assert_eq!(keys(&value["bundle"]), "action digest");
    assert_eq!(value["bundle"]["action"], "upload");
    assert_eq!(keys(&value["stack"]), "action changes name unseen");
    assert_eq!(keys(&value["dags"]), "added changed details lacking moved removed rescheduled unsure");
    assert_eq!(value["dags"]["lacking"][0]["kind"], "connection");
    assert_eq!(keys(&value["problems"][0]), "hint kind message where");
    assert_eq!(keys(&value["gates"][2]), "name outcome problems");
    assert_eq!(value["gates"][1]["reason"], "not on this machine");
    assert_eq!(value["steps"][0], "validate");
    let hosts_only = Running { runtime: None, ..everything_runs() };
    let value = json(&self::preview(hosts_only));
    assert_eq!((&value["bundle"]["action"], &value["host"]["action"]), (&json!("present"), &json!("upload")));
}

#[test]
fn a_migration_is_told_in_every_form() {
    let mut preview = preview(Running::default());
    let schema = |airflow: &str, all: &[&str]| Schema {
        airflow: airflow.to_owned(),
        revisions: [("alembic_version".to_owned(), all.iter().map(|one| (*one).to_owned()).collect())].into(),
    };
    let (old, new) = (schema("3.2.1", &["a"]), schema("3.3.2", &["a", "b", "c"]));
    preview.plan.migration = Migration::between(Some(&old), &new);
    let told = "migrates the database: 3.2.1 → 3.3.2, 2 revisions";
    assert!(fits(&preview).contains(&format!("\ndatabase {told}\n")), "{}", text(&preview));
    assert!(preview.markdown().contains(&format!("| database | {told} |")), "{}", preview.markdown());
    let expected = json!({ "from": "3.2.1", "to": "3.3.2", "direction": "up", "revisions": 2 });
    assert_eq!(json(&preview)["migration"], expected);
    preview.plan.migration = None;
    assert_eq!(json(&preview)["migration"], Value::Null);
}
