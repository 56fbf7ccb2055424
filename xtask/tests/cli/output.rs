//! Data on standard output, talk on standard error, and no consent without somebody who gives it.

use crate::project::Project;
use serde_json::{Value, json};

/// `{"error": …}` with the keys of the contract, alone on standard output.
#[track_caller]
fn error(project: &Project, args: &[&str]) -> Value {
    let run = project.run(args).expect(2);
    let value = run.json();
    assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"]);
    let error = &value["error"];
    assert_eq!(error["kind"], "usage");
    assert!(
        error["message"].is_string() && error["causes"].is_array() && error["hints"].is_array(),
        "{error}"
    );
    assert!(!run.stderr.contains("error:"), "{}", run.stderr);
    error.clone()
}

#[test]
fn one_document_for_success() {
    let project = Project::new();
    let bundle = project.run(&["bundle-dags", "--format", "json"]).expect(0);
    assert_eq!(bundle.stderr, "");
    let bundle = bundle.json();
    for key in ["digest", "path", "files", "bytes", "zip_bytes", "uploaded"] {
        assert!(bundle.get(key).is_some(), "{key}: {bundle}");
    }
    let package = project.run(&["package", "--format=json"]).expect(0).json();
    assert!(package["templates"].as_array().unwrap().len() > 5, "{package}");
    assert_eq!(
        project.run(&["local", "down", "--format", "json"]).expect(0).json(),
        json!({ "endpoint": null })
    );
    let reset = project.run(&["local", "reset", "--yes", "--format", "json"]).expect(0);
    assert_eq!((reset.json(), reset.stderr.as_str()), (json!({ "endpoint": null }), ""));
}

#[test]
fn one_document_for_errors() {
    let project = Project::new();
    let found = error(&project, &["status", "--format", "json"]);
    assert_eq!(found["message"], "the local cloud is not running");
    assert_eq!(found["hints"][0], "start it: cargo xtask local up");
    project.write("environments/bad.toml", "[aws]\nendpoint = \"local\"\nx = 1\ny = 2\n");
    let found = error(&project, &["--format", "json", "deploy", "--env", "bad"]);
    assert_eq!(found["problems"].as_array().unwrap().len(), 2);
    let problem = &found["problems"][0];
    assert_eq!(problem["where"], "environments/bad.toml:3 `aws.x`");
    assert_eq!((&problem["kind"], &problem["message"]), (&json!("unknown_key"), &json!("unknown key")));
    error(&project, &["destroy", "--format", "json"]);
}

#[test]
fn one_document_for_a_command_line_that_is_none() {
    let project = Project::new();
    let found = error(&project, &["frobnicate", "--format", "json"]);
    assert_eq!(found["message"], "unrecognized subcommand 'frobnicate'");
    let found = error(&project, &["deplyo", "--format=json"]);
    assert_eq!(found["hints"][0], "a similar subcommand exists: 'deploy'");
    let found = error(&project, &["secret", "set", "--format", "json"]);
    assert_eq!(found["message"], "the following required arguments were not provided: <NAME>");
    assert_eq!(error(&project, &["--format", "json"])["message"], "no verb was given");
}

/// Progress of a step that fails stays on standard error.
#[test]
fn progress_and_a_document() {
    let project = Project::new();
    project.write(".ductwork/local/cloud.json", "{garbage");
    let run = project.run(&["deploy", "--format", "json"]).expect(2);
    assert!(run.json()["error"]["message"].as_str().unwrap().contains("is damaged"));
    assert_eq!(run.stderr, "✗ setup [TIME]\n");
}

#[test]
fn quiet() {
    let project = Project::new();
    let run = project.run(&["bundle-dags", "-q"]).expect(0);
    assert_eq!(run.stderr, "");
    assert!(run.stdout.starts_with("bundle "), "{}", run.stdout);
    project.write(".ductwork/local/cloud.json", "{garbage");
    let run = project.run(&["deploy", "-q"]).expect(2);
    assert!(run.stderr.starts_with("error: ") && run.stdout.is_empty(), "{run:?}");
    let run = project.run(&["deploy", "-q", "--format", "json"]).expect(2);
    assert_eq!((run.stderr.as_str(), &run.json()["error"]["kind"]), ("", &json!("usage")));
}

#[test]
fn no_consent_without_a_terminal() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["destroy"]), @"
    error: confirmation required, but no terminal is attached
      caused by: Delete environment `local` with its database, logs and history?

    hint: look at it first with `cargo xtask plan`, then run the same command with
          --yes
    ");
    insta::assert_snapshot!(project.refused(&["local", "reset"]), @"
    error: confirmation required, but no terminal is attached
      caused by: Delete the local cloud with its database, logs and releases?

    hint: look at it first with `cargo xtask plan`, then run the same command with
          --yes
    ");
    project.run(&["local", "reset", "--yes"]).expect(0);
}

#[test]
fn the_text_of_success() {
    let project = Project::new();
    let run = project.run(&["bundle-dags"]).expect(0);
    assert!(
        run.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains('/')),
        "{}",
        run.stdout
    );
    assert_eq!(
        project.run(&["local", "down"]).expect(0).stdout,
        "the local cloud is stopped, its state is kept\n"
    );
    let version = project.run(&["--version"]).expect(0);
    assert_eq!(version.stdout, concat!("cargo xtask ", env!("CARGO_PKG_VERSION"), "\n"));
}
