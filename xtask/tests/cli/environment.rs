//! Problems of an environment file: every verb reports all of them, each with location, cause and cure.

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

/// What every verb says about an environment file with this content.
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
    insta::assert_snapshot!(refused("[aws]\nendpoint = \"local\"\n[workers.default]\nconcurency = 4\n"), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:4 `workers.default.concurency`: unknown key
        cure: rename it to `concurrency`, or remove it
    ");
}

#[test]
fn keys_of_earlier_versions() {
    let text = "[aws]\nendpoint = \"local\"\n[network]\nallowed_cidr = \"10.0.0.0/8\"\n[hosts.worker]\nconcurrency = 4\n";
    insta::assert_snapshot!(refused(text), @r#"
    error: `environments/bad.toml` has 2 problems

      environments/bad.toml:4 `network.allowed_cidr`: moved to `entry.allowed_cidrs`
        cure: write `allowed_cidrs = ["…"]` under `[entry]`

      environments/bad.toml:5 `hosts.worker`: moved to `workers.default`
        cure: rename the table to `[workers.default]`; its keys are the same
    "#);
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(refused("[aws]\nendpoint = \"local\"\n[airflow]\nport = \"8080\"\n"), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:4 `airflow.port`: expected an integer, found a string
        cure: remove the quotes: `port = 8080`
    ");
}

#[test]
fn invalid_toml() {
    insta::assert_snapshot!(refused("[aws\nendpoint = \"local\"\n"), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:1: invalid TOML: unclosed table, expected `]`
        cure: correct the line; the syntax is described at https://toml.io
    ");
}

#[test]
fn a_bad_region() {
    let text = "[aws]\naccount = \"111122223333\"\nregion = \"eu-centrall-1\"\n[entry]\nallowed_cidrs = [\"10.0.0.0/8\"]\n";
    insta::assert_snapshot!(refused(text), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:3 `aws.region`: invalid region: `eu-centrall-1`
        cure: use `eu-central-1`
    ");
}

#[test]
fn a_bad_account() {
    let text =
        "[aws]\naccount = \"1111\"\nregion = \"eu-central-1\"\n[entry]\nallowed_cidrs = [\"10.0.0.0/8\"]\n";
    insta::assert_snapshot!(refused(text), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:2 `aws.account`: invalid account ID:
        `1111` (expected 12 digits)
        cure: find it: aws sts get-caller-identity --query Account --output text
    ");
}

#[test]
fn an_invalid_instance_size() {
    insta::assert_snapshot!(refused("[aws]\nendpoint = \"local\"\n[workers.default]\ninstance_type = \"t3.huge\"\n"), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:4 `workers.default.instance_type`:
        `t3` has no size `huge`
        cure: use one of its sizes:
          nano, micro, small, medium, large, xlarge, 2xlarge
    ");
}

#[test]
fn a_name_too_long_for_aws() {
    let text = format!("project = \"{}\"\n[aws]\nendpoint = \"local\"\n", "long-".repeat(20) + "name");
    insta::assert_snapshot!(refused(&text), @"
    error: `environments/bad.toml` has a problem

      environments/bad.toml:1 `project`:
        the name of the queue would be 130 characters long, the limit is 80
        cure: shorten the project name by 50 characters
    ");
}

#[test]
fn an_environment_whose_own_name_is_too_long() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "a-name-that-is-much-too-long"]), @"
    error: environment name `a-name-that-is-much-too-long` is too long:
      28 characters, the limit is 20

    hint: use --env with one of: dev, local, local-fargate, prod, staging
    ");
    project.write("environments/a-name-that-is-much-too-long.toml", "[aws]\nendpoint = \"local\"\n");
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "a-name-that-is-much-too-long"]), @"
    error: environment name `a-name-that-is-much-too-long` is too long:
      28 characters, the limit is 20

    hint: give the file a shorter name; it becomes part of AWS resource names
    ");
}

#[test]
fn several_at_once() {
    let text = "projct = \"x\"\n[aws]\naccount = 111122223333\nregion = \"eu-central-1a\"\n[airflow]\nport = 80\n\
                [workers.default]\ninstance_type = \"t3.huge\"\nmin = 3\nmax = 2\n";
    insta::assert_snapshot!(refused(text), @r#"
    error: `environments/bad.toml` has 7 problems

      environments/bad.toml:1 `projct`: unknown key
        cure: rename it to `project`, or remove it

      environments/bad.toml:3 `aws.account`: expected a string, found an integer
        cure: put it in quotes: `account = "111122223333"`

      environments/bad.toml:4 `aws.region`: expected a region, found an availability
        zone: `eu-central-1a`
        cure: use its region: `eu-central-1`

      environments/bad.toml:6 `airflow.port`: `80` is out of range:
        1024 to 65535 (ports below 1024 are reserved)
        cure: use a number from 1024 to 65535

      environments/bad.toml:8 `workers.default.instance_type`:
        `t3` has no size `huge`
        cure: use one of its sizes:
          nano, micro, small, medium, large, xlarge, 2xlarge

      environments/bad.toml:10 `workers.default.max`:
        2 is less than `min`, which is 3
        cure: use 3 or more, or lower `min`

      environments/bad.toml `entry.allowed_cidrs`: required key is missing
        cure: add `allowed_cidrs = ["203.0.113.7/32"]` under `[entry]`, with the
          addresses of your office or VPN; this prints your own:
          curl https://checkip.amazonaws.com
    "#);
}

#[test]
fn a_missing_file() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "testing"]), @"
    error: there is no environment `testing`: no file `environments/testing.toml`

    hint: use --env with one of: dev, local, local-fargate, prod, staging
    ");
    insta::assert_snapshot!(project.refused(&["status", "--env", "dve"]), @"
    error: there is no environment `dve`: no file `environments/dve.toml`

    hint: use --env dev
    ");
}

/// Nobody should fix one problem only to be shown the next.
#[test]
fn the_file_and_the_tree_together() {
    let project = Project::new();
    project.write("environments/bad.toml", "[aws]\nendpoint = \"local\"\nacount = \"1\"\n");
    project.remove("templates/storage.yaml");
    project.remove("airflow/host/appspec.yml");
    project.remove("dags");
    insta::assert_snapshot!(project.refused(&["deploy", "--env", "bad"]), @"
    error: `environments/bad.toml` has a problem; and 3 problems elsewhere

      environments/bad.toml:3 `aws.acount`: unknown key
        cure: rename it to `account`, or remove it

      dags: there is no such folder
        cure: create it: mkdir -p dags

      airflow/host/appspec.yml: does not exist, and hosts need it to start
        cure: restore it, for instance: git checkout -- airflow/host/appspec.yml

      templates/master.yaml:96: there is no `templates/storage.yaml`
        cure: correct the path, or add the file
    ");
    assert_eq!(project.refused(&["plan", "--env", "bad"]), project.refused(&["deploy", "--env", "bad"]));
}
