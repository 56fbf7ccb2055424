//! The ways an environment can be set up, each by a real `deploy` to the local cloud, and back.
//!
//! The hosts run a stub instead of Airflow, so that a deployment takes seconds and what is looked at is
//! the platform: what CloudFormation made, asked of the services themselves.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

use support::project::Project;

#[test]
fn smallest() {
    let project = Project::without_airflow();
    let result = project.deploy();
    assert_eq!(result["outcome"], "deployed");
    assert_eq!(project.deploy()["outcome"], "unchanged");
    project.run(&["destroy", "--env", "local", "--yes"]).expect(0);
}
