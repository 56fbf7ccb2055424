//! What becomes of DAGs, told before it happens and afterwards, in text, JSON and Markdown.

use crate::bake;
use crate::objects::set_secret;
use crate::support::project::Project;
use serde_json::{Value, json};

const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];

fn dag(id: &str, schedule: &str, more: &str) -> String {
    format!(
        "from airflow.sdk import DAG, BaseHook, Variable\n\
         from airflow.providers.standard.operators.bash import BashOperator\n\
         with DAG('{id}', schedule='{schedule}', tags=['t']):\n    \
             BashOperator(task_id='one', bash_command='true', owner='ann')\n    {more}\n"
    )
}

fn json(project: &Project, words: &[&str]) -> Value {
    project.run(&[words, &["--format", "json"]].concat()).expect(0).json()
}

#[test]
fn what_becomes_of_dags() {
    let project = Project::without_airflow();
    std::fs::remove_dir_all(project.path().join("dags")).unwrap();
    for id in ["gone", "same", "paused_one", "moved"] {
        project.write(&format!("dags/{id}.py"), &dag(id, "@daily", ""));
    }
    // The first deployment tells of all of them, and of a database that has nothing yet.
    project.write("dags/named.py", &dag("named", "@daily", "def f(): return Variable.get('lake')"));
    let first = project.run(&DEPLOY).expect(0).json();
    assert_eq!(first["dags"]["added"], json!(["gone", "moved", "named", "paused_one", "same"]), "{first:#}");
    assert_eq!(first["dags"]["lacking"], json!([{ "kind": "variable", "name": "lake", "dags": ["named"] }]));
    assert_eq!(first["dags"]["details"][0]["paused"], false);

    std::fs::remove_file(project.path().join("dags/gone.py")).unwrap();
    std::fs::rename(project.path().join("dags/moved.py"), project.path().join("dags/elsewhere.py")).unwrap();
    let more = "BashOperator(task_id='two', bash_command='echo {{ conn.warehouse.host }} {{ var.value.by_hand }}', \
                pool='heavy')";
    project.write("dags/paused_one.py", &dag("paused_one", "@hourly", more));
    let plan = json(&project, &["plan", "--env", "local"]);
    let dags = &plan["dags"];
    assert_eq!((&dags["removed"], &dags["moved"]), (&json!(["gone"]), &json!(["moved"])), "{dags:#}");
    assert_eq!((&dags["rescheduled"], &dags["changed"]), (&json!(["paused_one"]), &json!(["paused_one"])));
    let changed = &dags["details"][2];
    assert_eq!(changed["tasks"]["added"], json!(["two"]), "{dags:#}");
    assert_eq!((&changed["owners"]["added"], &changed["paused"]), (&json!(["airflow"]), &json!(true)));
    let lacking = json!([
        { "kind": "connection", "name": "warehouse", "dags": ["paused_one"] },
        { "kind": "pool", "name": "heavy", "dags": ["paused_one"] },
    ]);
    assert_eq!((&dags["lacking"], &dags["unsure"]), (&lacking, &json!([])));
    assert_eq!(&json(&project, &["bundle-dags", "--env", "local"])["dags"], dags);

    let text = project.run(&["plan", "--env", "local"]).expect(0).stdout;
    for row in [
        "DAGs     removed: gone\n",
        "DAGs     moved: moved (moved.py → elsewhere.py)\n",
        "DAGs     rescheduled: paused_one (@daily → @hourly; paused)\n",
        "note     DAG `paused_one` names the connection `warehouse`, which `local` does\n",
    ] {
        assert!(text.contains(row), "{row} in {text}");
    }
    let page = project.run(&["plan", "--env", "local", "--format", "markdown"]).expect(0).stdout;
    assert!(page.contains("| DAGs moved | `moved` (`moved.py` → `elsewhere.py`) |"), "{page}");

    // What a release brings is not lacking, nor is what is in Secrets Manager alone.
    project.write("airflow/objects.toml", "[pools.heavy]\nslots = 1\n");
    set_secret(&project, "postgresql://db/x");
    let deployed = project.run(&DEPLOY[..4]).expect(0);
    assert!(deployed.stderr.contains("DAGs     removed: gone\n"), "{}", deployed.stderr);
    assert!(!deployed.stderr.contains("note     "), "{}", deployed.stderr);
    assert_eq!(json(&project, &["plan", "--env", "local"])["dags"]["details"], json!([]));

    a_rollback_tells_it_too(&project);

    // DAGs with a problem are not uploaded.
    project.write("dags/broken.py", "from airflow.sdk import DAG\n1 / 0\n");
    let refused = project.run(&["bundle-dags", "--env", "local", "--format", "json"]).expect(2).json();
    assert_eq!(refused["error"]["message"], "1 problem in the DAGs, nothing was uploaded", "{refused:#}");

    project.remove("dags/broken.py");
    bake::watched(&project);
}

/// The same the other way round, and once more forward.
fn a_rollback_tells_it_too(project: &Project) {
    let back = json(project, &["rollback", "--env", "local", "--yes"]);
    let dags = &back["dags"];
    assert_eq!((&dags["added"], &dags["moved"]), (&json!(["gone"]), &json!(["moved"])), "{dags:#}");
    assert_eq!((&dags["rescheduled"], &dags["unsure"]), (&json!(["paused_one"]), &json!([])), "{dags:#}");
    let paused =
        dags["details"].as_array().unwrap().iter().find(|one| one["dag_id"] == "paused_one").unwrap();
    assert_eq!((&paused["paused"], &paused["tasks"]["removed"]), (&json!(true), &json!(["two"])), "{dags:#}");
    let forward = project.run(&["rollback", "--env", "local", "--yes"]).expect(0);
    for row in ["DAGs     removed: gone\n", "DAGs     rescheduled: paused_one (@daily → @hourly; paused)\n"]
    {
        assert!(forward.stderr.contains(row), "{row} in {}", forward.stderr);
    }
}
