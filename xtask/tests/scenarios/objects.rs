//! What DAGs need besides code, from the files of the project to the local cloud, and back with a rollback.

use crate::support::project::Project;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;
use xtask::model::objects::Pool;

const OBJECTS: &str = r#"
[connections.warehouse]
conn_type = "postgres"
host = "db"
secret = "connections/warehouse"
[variables]
lake = "s3://one"
[pools.warehouse]
slots = 4
[environments.prod.variables]
lake = "s3://prod"
"#;

const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];

pub fn set_secret(project: &Project, value: &str) -> String {
    let mut command = project.command(&["secret", "set", "connections/warehouse", "--env", "local"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// The objects of the release that the pointer names.
fn released(project: &Project) -> Value {
    let release = project.pointer()["release"].as_str().unwrap().to_owned();
    let record = project.object(&format!("environments/local/releases/{release}.json")).unwrap();
    record["environment"]["objects"].clone()
}

fn done(result: &Value) -> Vec<&str> {
    let steps = result["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["outcome"] == "done").filter_map(|step| step["name"].as_str()).collect()
}

fn planned(project: &Project) -> Value {
    project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json()
}

#[test]
fn what_dags_need_besides_code() {
    let project = Project::without_airflow();
    project.run(&["local", "up"]).expect(0);
    project.write("airflow/objects.toml", OBJECTS);
    project.edit("environments/local.toml", |text| format!("{text}[env]\nLAKE = \"x\"\n"));

    // Refused until the secret is there; whoever reads the refusal knows how to store it.
    let refused = project.run(&DEPLOY).expect(2).json();
    let problem = &refused["error"]["problems"][0];
    assert_eq!(problem["where"], "airflow/objects.toml `connections.warehouse`", "{refused:#}");
    assert!(problem["hint"].as_str().unwrap().ends_with("secret set connections/warehouse --env local"));
    assert_eq!(set_secret(&project, "one"), "created the secret `ductwork/local/connections/warehouse`\n");
    assert_eq!(set_secret(&project, "two"), "replaced the secret `ductwork/local/connections/warehouse`\n");

    let first = project.run(&DEPLOY).expect(0).json();
    assert!(done(&first).contains(&"pools"), "{first:#}");
    let expected = json!({
        "connections": { "warehouse": { "conn_type": "postgres", "host": "db", "secret": "connections/warehouse" } },
        "variables": { "lake": "s3://one" },
        "pools": { "warehouse": { "slots": 4, "include_deferred": false } },
    });
    assert_eq!(released(&project), expected);
    assert_eq!(project.run(&DEPLOY).expect(0).json()["outcome"], "unchanged");

    // A changed variable restarts nothing; a pool that goes from the file goes from Airflow.
    project.write(
        "airflow/objects.toml",
        &OBJECTS.replace("s3://one", "s3://two").replace("[pools.warehouse]\nslots = 4\n", ""),
    );
    let plan = planned(&project);
    assert_eq!(plan["objects"]["variables"]["changed"], json!(["lake"]), "{plan:#}");
    assert_eq!(plan["objects"]["pools"]["removed"], json!(["warehouse"]));
    let second = project.run(&DEPLOY).expect(0).json();
    assert_eq!(done(&second), ["setup", "validate", "pools", "pointer"]);
    assert_eq!(released(&project)["variables"]["lake"], "s3://two");

    let back = project.run(&["rollback", "--env", "local", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!(done(&back), ["setup", "pools", "pointer"], "{back:#}");
    assert_eq!(released(&project), expected);

    // A variable of the environment is a setting of hosts.
    project.write("airflow/objects.toml", OBJECTS);
    project.edit("environments/local.toml", |text| text.replace("LAKE", "LAKE_BUCKET"));
    let plan = planned(&project);
    assert_eq!(plan["env"], json!({ "added": ["LAKE_BUCKET"], "changed": [], "removed": ["LAKE"] }));
    let steps = plan["steps"].as_array().unwrap();
    assert!(["validate", "stack", "hosts"].iter().all(|step| steps.contains(&json!(step))), "{plan:#}");

    // A pool that somebody made keeps its name, and nothing is begun.
    project.airflow().create_pool("hand", &Pool { slots: 1, ..Pool::default() }).unwrap();
    project.write("airflow/objects.toml", &OBJECTS.replace("[pools.warehouse]", "[pools.hand]"));
    let refused = project.run(&DEPLOY).expect(2).json();
    let problems = refused["error"]["problems"].as_array().unwrap();
    let kinds: Vec<&Value> = problems.iter().map(|problem| &problem["kind"]).collect();
    assert_eq!(kinds, ["foreign_pool"], "{refused:#}");
    assert_eq!(released(&project), expected);
}
