//! What is wrong with an environment file: each with place, cause and cure, all at once, by every verb.

use crate::project::Project;

const VERBS: [&[&str]; 8] = [
    &["plan"],
    &["deploy"],
    &["rollback"],
    &["status"],
    &["history"],
    &["package"],
    &["secret", "admin"],
    &["destroy", "--yes"],
];

/// What every verb says of an environment file with this content.
#[track_caller]
fn refused(text: &str) -> String {
    let project = Project::new();
    project.write("environments/bad.toml", text);
    let told = |verb: &&[&str]| project.refused(&[*verb, &["--env", "bad"]].concat());
    let all: Vec<String> = VERBS.iter().map(told).collect();
    for (verb, text) in VERBS.iter().zip(&all) {
        assert_eq!(text, &all[0], "{verb:?}");
    }
    all[0].clone()
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(refused("[aws]\nendpoint = \"local\"\n[hosts.worker]\nconcurency = 4\n"), @"");
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(refused("[aws]\nendpoint = \"local\"\n[airflow]\nport = \"8080\"\n"), @"");
}

#[test]
fn no_toml() {
    insta::assert_snapshot!(refused("[aws\nendpoint = \"local\"\n"), @"");
}

#[test]
fn a_bad_region() {
    let text = "[aws]\naccount = \"111122223333\"\nregion = \"eu-centrall-1\"\n[airflow]\nurl = \"http://a.example\"\n";
    insta::assert_snapshot!(refused(text), @"");
}

#[test]
fn a_bad_account() {
    let text =
        "[aws]\naccount = \"1111\"\nregion = \"eu-central-1\"\n[airflow]\nurl = \"http://a.example\"\n";
    insta::assert_snapshot!(refused(text), @"");
}

#[test]
fn an_invalid_instance_size() {
    insta::assert_snapshot!(refused("[aws]\nendpoint = \"local\"\n[hosts.worker]\ninstance_type = \"t3.huge\"\n"), @"");
}

#[test]
fn a_name_too_long_for_aws() {
    let text = format!("project = \"{}\"\n[aws]\nendpoint = \"local\"\n", "long-".repeat(20) + "name");
    insta::assert_snapshot!(refused(&text), @"");
}

#[test]
fn an_environment_whose_own_name_is_too_long() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "a-name-that-is-much-too-long"]), @"");
    project.write("environments/a-name-that-is-much-too-long.toml", "[aws]\nendpoint = \"local\"\n");
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "a-name-that-is-much-too-long"]), @"");
}

#[test]
fn several_at_once() {
    let text = "projct = \"x\"\n[aws]\naccount = 111122223333\nregion = \"eu-central-1a\"\n[airflow]\nport = 80\n\
                [hosts.worker]\ninstance_type = \"t3.huge\"\nmin = 3\nmax = 2\n";
    insta::assert_snapshot!(refused(text), @"");
}

#[test]
fn a_missing_file() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "prod"]), @"");
    insta::assert_snapshot!(project.refused(&["status", "--env", "dve"]), @"");
}

/// Nobody cures one problem only to be shown the next.
#[test]
fn the_file_and_the_tree_together() {
    let project = Project::new();
    project.write("environments/bad.toml", "[aws]\nendpoint = \"local\"\nacount = \"1\"\n");
    project.remove("templates/broker.yaml");
    project.remove("airflow/host/appspec.yml");
    project.remove("dags");
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "bad"]), @"");
    assert_eq!(project.refused(&["plan", "--env", "bad"]), project.refused(&["deploy", "--env", "bad"]));
}
