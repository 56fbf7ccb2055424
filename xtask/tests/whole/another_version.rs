//! An upgrade of Airflow with two real ones: tried on a copy of the database, failed after the migration, done, and
//! taken back.
//!
//! One environment, in stages: each finds the release that the one before has left.

use crate::support::project::Project;
use crate::support::say;
use crate::support::stages::Stages;
use crate::support::tasks::{RESEND, finished, until};
use serde_json::{Value, json};
use std::fs;

/// One host for everything but the worker.
const SMALL: &str = "\n[hosts]\napi_server.on_scheduler = true\n";
const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];

/// Its task tells which Airflow has run it.
const PROBE: &str = r#"
"""A probe of the tests."""
from airflow.sdk import dag, task

@dag(schedule=None, catchup=False, tags=["test"])
def version():
    @task
    def tell() -> str:
        import airflow
        return airflow.__version__

    tell()

version()
"#;

/// What the database of the environment says, asked by whichever Airflow is on the host.
const ASK: &str = r#"
import json, os
from ductwork_airflow.hosts import database
from ductwork_airflow.release import heads
with database.open_url(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]) as connection:
    found = {table: sorted(heads.recorded(connection, table)) for table in heads.TABLES}
    runs = database.rows(connection, "select count(*) from dag_run")[0][0]
print(json.dumps({"heads": found, "runs": runs}))
"#;

/// Fails on the host of the worker, which follows the hosts that have migrated the database.
const GATE: &str = r#"
if [[ " ${components[*]} " = *" worker "* ]]; then
    echo 'this gate says no' >&2
    exit 1
fi
"#;

/// A version with its requirements and their lock.
struct Airflow {
    version: String,
    requirements: [String; 2],
}

impl Airflow {
    fn of(project: &Project, name: &str) -> Self {
        let requirements = ["in", "lock"].map(|ending| project.read(&format!("{name}.{ending}")));
        let mut pins = requirements[1].lines().filter_map(|line| line.strip_prefix("apache-airflow=="));
        let version = pins.next().unwrap().trim_end_matches([' ', '\\']).to_owned();
        Self { version, requirements }
    }

    /// Makes it the one of the project.
    fn put(&self, project: &Project) {
        for (ending, text) in ["in", "lock"].iter().zip(&self.requirements) {
            project.write(&format!("airflow/requirements.{ending}"), text);
        }
    }
}

#[test]
fn airflow_is_upgraded_and_taken_back() {
    let project = Project::new();
    let newer = Airflow::of(&project, "airflow/requirements");
    let older = Airflow::of(&project, "airflow/tests/older");
    fs::remove_dir_all(project.path().join("dags")).unwrap();
    project.write("dags/version.py", PROBE);
    project.edit("environments/local.toml", |text| format!("{text}{SMALL}{RESEND}"));
    project.keep();
    say(&format!("--- upgrade: first deployment, Airflow {}", older.version));
    older.put(&project);
    let first = project.deploy()["release"].clone();
    let run = runs_whole(&project, &first, &older);

    let mut stages = Stages::new(&project, |project| drop(project.deploy()));
    stages.run("upgrade: tried", |project| it_is_tried_on_a_copy(project, &older, &newer));
    newer.put(&project);
    stages.run("upgrade: a gate fails after the migration", |project| {
        a_failed_gate_takes_the_database_back(project, &first, &older);
    });
    stages.run("upgrade: done", |project| {
        it_is_done(project, &newer);
        assert_eq!(project.airflow().returned("version", &run, "tell").unwrap(), *older.version);
    });
    stages.run("upgrade: rollback", |project| a_rollback_takes_it_back(project, &first, &older));
    stages.end();
}

fn asked(project: &Project) -> Value {
    project.run(&["run", "--env", "local", "--", "python", "-c", ASK]).expect(0).json()
}

fn steps(result: &Value) -> Vec<(&str, &str)> {
    let steps = result["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["name"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

/// The release is what the pointer names and what every component runs, on a database at its heads, and a task runs with
/// its Airflow: the run of it.
#[track_caller]
fn runs_whole(project: &Project, release: &Value, airflow: &Airflow) -> String {
    assert_eq!(project.pointer()["release"], *release);
    let id = release.as_str().unwrap();
    let record = project.run(&["history", "--env", "local", "--release", id, "--format", "json"]).expect(0);
    let schema = record.json()["record"]["schema"].clone();
    assert_eq!(schema["airflow"], *airflow.version);
    let database = asked(project)["heads"].clone();
    for (table, revisions) in schema["revisions"].as_object().unwrap() {
        assert_eq!(database[table], json!([revisions.as_array().unwrap().last()]), "{table} of {database}");
    }
    until("the receipts of the release", || {
        let status = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
        let all = |list: &str, key: &str| {
            let all = status[list].as_array().unwrap();
            !all.is_empty() && all.iter().all(|one| one[key] == true)
        };
        status["release"] == *release && all("components", "healthy") && all("parts", "current")
    });
    let api = project.airflow();
    let run = api.trigger("version", &json!({})).unwrap();
    assert_eq!(finished(&api, "version", &run), "success");
    assert_eq!(api.returned("version", &run, "tell").unwrap(), *airflow.version);
    run
}

/// Everything that an environment keeps in the bucket, with the digests of its bytes.
fn documents(project: &Project) -> Vec<String> {
    let bucket = format!("{}/ductwork-000000000000-us-east-1", project.endpoint());
    let mut answer = ureq::get(format!("{bucket}?list-type=2&prefix=environments/")).call().unwrap();
    let list = answer.body_mut().read_to_string().unwrap();
    let found: Vec<String> = list.split("<Contents>").skip(1).map(str::to_owned).collect();
    assert!(found.iter().any(|one| one.contains("environments/local/current.json")), "{list}");
    found
}

/// What runs is copied, migrated there and back, and stays as it is.
fn it_is_tried_on_a_copy(project: &Project, older: &Airflow, newer: &Airflow) {
    let seen = || {
        let requirements = Airflow::of(project, "airflow/requirements").requirements;
        (project.pointer(), documents(project), asked(project), project.components(), requirements)
    };
    let before = seen();
    let command = ["upgrade-test", "--airflow", &newer.version, "--env", "local", "--format", "json"];
    let report = project.run(&command).expect(0).json();
    assert_eq!(
        (&report["outcome"], &report["environment"]),
        (&json!("passed"), &json!("local")),
        "{report:#}"
    );
    let stages = report["stages"].as_array().unwrap();
    let outcomes: Vec<_> = stages.iter().map(|stage| (&stage["name"], &stage["outcome"])).collect();
    let passed = json!("passed");
    let names = ["lock", "install", "dags", "database", "upgrade", "smoke", "downgrade"].map(Value::from);
    assert_eq!(outcomes, names.iter().map(|name| (name, &passed)).collect::<Vec<_>>(), "{report:#}");
    let summary = |name: &str| {
        let stage = stages.iter().find(|stage| stage["name"] == name).unwrap();
        stage["summary"].as_str().unwrap().to_owned()
    };
    assert!(summary("database").starts_with("a copy of that of the environment, "), "{report:#}");
    assert!(summary("upgrade").ends_with(" revisions"), "{report:#}");
    let mut heads: Vec<&str> =
        before.2["heads"].as_object().unwrap().values().map(|heads| heads[0].as_str().unwrap()).collect();
    heads.sort_unstable();
    assert_eq!(summary("downgrade"), format!("back at {}", heads.join(", ")), "where it was before");
    let changes = report["locks"][0]["changes"].as_array().unwrap();
    let airflow = changes.iter().find(|change| change["package"] == "apache-airflow").unwrap();
    assert_eq!((&airflow["before"], &airflow["now"]), (&json!(older.version), &json!(newer.version)));
    assert_eq!(seen(), before, "nothing of the environment or the project was touched");
}

/// The worker's host fails, when the API server and the scheduler already run the newer Airflow.
fn a_failed_gate_takes_the_database_back(project: &Project, first: &Value, older: &Airflow) {
    project.edit("airflow/host/hooks/validate_service", |text| format!("{text}{GATE}"));
    let run = project.run(&DEPLOY).expect(4);
    let result = run.json();
    assert_eq!((&result["outcome"], &result["previous"]), (&json!("rolled_back"), first), "{result:#}");
    assert!(result["error"].to_string().contains("this gate says no"), "the hook's own words: {result:#}");
    let steps: Vec<_> = steps(&result);
    let at = |step: (&str, &str)| {
        steps.iter().position(|one| *one == step).unwrap_or_else(|| panic!("{step:?} in {steps:?}"))
    };
    let order =
        [("migration", "done"), ("hosts", "failed"), ("downgrade", "done"), ("hosts", "done")].map(at);
    assert!(order.is_sorted(), "{steps:?}");
    assert!(result["saved"].as_str().unwrap().starts_with("environments/local/dumps/"), "{result:#}");
    runs_whole(project, first, older);
}

fn it_is_done(project: &Project, newer: &Airflow) {
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed", "{result:#}");
    for step in ["migration", "hosts", "smoke"] {
        assert!(steps(&result).contains(&(step, "done")), "{step} in {result:#}");
    }
    runs_whole(project, &result["release"], newer);
}

/// By the newer code, whose runs are kept. The tree that is rolled back to has nothing to deploy then.
fn a_rollback_takes_it_back(project: &Project, first: &Value, older: &Airflow) {
    let before = asked(project);
    let result = project.run(&["rollback", "--env", "local", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!((&result["outcome"], &result["release"]), (&json!("deployed"), first), "{result:#}");
    for step in ["downgrade", "hosts"] {
        assert!(steps(&result).contains(&(step, "done")), "{step} in {result:#}");
    }
    let after = asked(project);
    assert_ne!(after["heads"], before["heads"]);
    assert!(after["runs"].as_u64() >= before["runs"].as_u64(), "{before} {after}");
    runs_whole(project, first, older);
    older.put(project);
    assert_eq!(project.deploy()["outcome"], "unchanged");
}
