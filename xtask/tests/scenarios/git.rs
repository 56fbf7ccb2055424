//! DAGs from a git repository that asks for a token: from its commits to the pointer, and back when it is gone.

use super::git_server::serve;
use crate::support::project::Project;
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
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

/// Stands for ssh and the server behind it: lets in who has the key, if the server is known, and looks at nothing but the
/// files that git was given.
const SSH: &str = r#"#!/bin/sh
[ "$1" = -F ] || exit 9
private=$(dirname "$2")
[ "$(stat -c %a "$private")$(stat -c %a "$private/key")" = 700600 ] || exit 9
/usr/bin/ssh -G -F "$2" git.example.com >"$private/read" || exit 9
grep -q '^stricthostkeychecking true' "$private/read" || exit 9
grep -q "^userknownhostsfile $private/known_hosts" "$private/read" || exit 9
grep -q "^identityfile $private/key" "$private/read" || exit 9
grep -q '^git.example.com ' "$private/known_hosts" || { echo 'Host key verification failed.' >&2; exit 255; }
grep -q hunter2hunter2 "$private/key" || { echo 'git@git.example.com: Permission denied (publickey).' >&2; exit 255; }
for last; do :; done
cd "$(dirname "$0")" && eval "exec $last"
"#;

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

#[test]
fn dags_of_a_repository_with_a_deploy_key() {
    let project = Project::without_airflow();
    project.run(&["local", "up"]).expect(0);
    let server = tempfile::tempdir().unwrap();
    let repository = server.path().join("acme/dags");
    std::fs::create_dir_all(&repository).unwrap();
    git(&repository, &["init", "-q"]);
    let head = commit(&repository, "flows/one.py", &dag("one"));
    let ssh = server.path().join("ssh");
    std::fs::write(&ssh, SSH).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", server.path().display(), std::env::var("PATH").unwrap());
    let keys = "url = \"git@git.example.com:acme/dags/.git\"\nref = \"main\"\npath = \"flows\"\n\
                key = \"ductwork/local/dags/git\"\n";
    project.edit("environments/local.toml", |text| format!("{text}\n[dags.git]\n{keys}"));
    let bundle =
        || project.run_with(&["bundle-dags", "--env", "local", "--format", "json"], &[("PATH", &path)]);
    let refused = || {
        let told = bundle().expect(2);
        assert!(!told.stdout.contains(TOKEN) && !told.stderr.contains(TOKEN), "{}", told.stderr);
        let problem = told.json()["error"]["problems"][0].clone();
        format!("{}: {}", problem["where"].as_str().unwrap(), problem["kind"].as_str().unwrap())
    };
    let key = |text: &str| {
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n")
    };

    // A server that nobody has vouched for never sees the key; then the key has to be the right one.
    set_token(&project, &key("another"));
    assert_eq!(refused(), "environments/known_hosts: unknown_host");
    project.write("environments/known_hosts", "other.example.com ssh-ed25519 AAAA\n");
    assert_eq!(refused(), "environments/known_hosts: unknown_host");
    project.write("environments/known_hosts", "git.example.com ssh-ed25519 AAAA\n");
    assert_eq!(refused(), "environments/local.toml `dags.git.key`: key_refused");
    set_token(&project, &key(TOKEN));
    let plan = project
        .run_with(&["plan", "--env", "local", "--format", "json"], &[("PATH", &path)])
        .expect(0)
        .json();
    assert_eq!((&plan["dags"]["added"], &plan["git"]["commit"]), (&json!(["one"]), &json!(head)), "{plan:#}");
    assert!(project.path().join(".ductwork/cache/git").join(head).join("flows/one.py").is_file());
}
