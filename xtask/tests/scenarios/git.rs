//! DAGs from a git repository that asks for a token: from its commits to the pointer, and back when it is gone.

use super::git_server::serve;
use crate::support::project::Project;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const DEPLOY: [&str; 6] = ["deploy", "--env", "local", "--yes", "--format", "json"];
const TOKEN: &str = "hunter2hunter2";

fn git(folder: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(identity).args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(folder: &Path, name: &str, text: &str) -> String {
    std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "x"]);
    git(folder, &["rev-parse", "HEAD"])
}

fn dag(id: &str) -> String {
    format!("from airflow.sdk import DAG\n\nwith DAG(\"{id}\", schedule=None):\n    pass\n")
}

fn set_token(project: &Project, value: &str) {
    let mut command = project.command(&["secret", "set", "dags/git", "--env", "local"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn record(project: &Project) -> Value {
    let release = project.pointer()["release"].as_str().unwrap().to_owned();
    project.object(&format!("environments/local/releases/{release}.json")).unwrap()
}

fn planned(project: &Project) -> Value {
    project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json()
}

#[track_caller]
fn refused(project: &Project, args: &[&str]) -> Value {
    let told = project.run(args).expect(2);
    assert!(!told.stdout.contains(TOKEN) && !told.stderr.contains(TOKEN), "{}", told.stderr);
    told.json()["error"]["problems"][0].clone()
}

#[test]
fn dags_of_a_repository_with_a_token() {
    let project = Project::without_airflow();
    project.run(&["local", "up"]).expect(0);
    let server = tempfile::tempdir().unwrap();
    let repository = server.path().join("dags");
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "-q"]);
    let first = commit(&repository, "dags/one.py", &dag("one"));
    let url = format!("{}/dags/.git", serve(server.path(), "x-access-token", TOKEN));
    let keys = format!("url = \"{url}\"\nref = \"main\"\nkey = \"ductwork/local/dags/git\"\n");
    project.edit("environments/local.toml", |text| format!("{text}\n[dags.git]\n{keys}"));

    // Neither without the secret nor with a wrong one; whoever reads the refusal knows how to store it.
    let problem = refused(&project, &DEPLOY);
    assert_eq!(problem["kind"], "missing_secret", "{problem:#}");
    assert_eq!(problem["where"], "environments/local.toml `dags.git.key`");
    set_token(&project, "another");
    assert_eq!(refused(&project, &DEPLOY)["kind"], "key_refused");
    set_token(&project, TOKEN);

    let plan = planned(&project);
    let expected = json!({"url": url, "ref": "main", "path": "dags", "commit": first, "previous": null});
    assert_eq!(plan["git"], expected, "{plan:#}");
    assert_eq!(plan["dags"]["added"], json!(["one"]), "not those of the project");
    project.run(&DEPLOY).expect(0);
    let expected = json!({"url": url, "ref": "main", "path": "dags", "commit": first});
    assert_eq!(record(&project)["git"], expected);
    let packed = project.run(&["bundle-dags", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(packed["digest"], project.pointer()["bundle"]);

    // A commit that changes no DAG is nothing to deploy; one that does is told with both commits.
    commit(&repository, "README.md", "More.\n");
    assert_eq!(project.run(&DEPLOY).expect(0).json()["outcome"], "unchanged");
    let second = commit(&repository, "dags/two.py", &dag("two"));
    let plan = planned(&project);
    assert_eq!((&plan["git"]["commit"], &plan["git"]["previous"]), (&json!(second), &json!(first)));
    assert_eq!(plan["steps"], json!(["validate", "bundle", "pointer", "dags"]));
    let text = project.run(&["plan", "--env", "local"]).expect(0).stdout;
    assert!(text.contains(&format!("main: {} → {}", &first[..7], &second[..7])), "{text}");
    let one = project.pointer()["bundle"].clone();
    let deployed = project.run(&DEPLOY).expect(0);
    assert!(!deployed.stderr.contains(TOKEN));
    assert_ne!(project.pointer()["bundle"], one);
    let status = project.run(&["status", "--env", "local", "--format", "json"]).expect(0).json();
    assert_eq!(status["git"]["commit"], json!(second), "{status:#}");

    // A mistake is told where it is: in the repository.
    let third =
        commit(&repository, "dags/two.py", "from airflow.sdk import DAG\nimport nothing_of_the_kind\n");
    let problem = refused(&project, &DEPLOY);
    assert_eq!(problem["where"], format!("{}:dags/two.py:2", &third[..7]), "{problem:#}");

    // A rollback needs neither the repository nor the token.
    drop(server);
    set_token(&project, "gone");
    project.run(&["rollback", "--env", "local", "--yes", "--format", "json"]).expect(0);
    assert_eq!((&project.pointer()["bundle"], &record(&project)["git"]["commit"]), (&one, &json!(first)));
    let diagnosis = project.run(&["doctor", "--env", "local", "--format", "json"]).expect(2).stdout;
    assert!(diagnosis.contains("DAG repository") && !diagnosis.contains(TOKEN), "{diagnosis}");
    // What is not in any file of the project: the token is kept nowhere.
    let kept =
        Command::new("grep").args(["-rlF", TOKEN, ".ductwork/cache"]).current_dir(project.path()).output();
    assert!(kept.unwrap().stdout.is_empty());
}
