//! What cannot be built or pushed is told with its cure.

use super::{image, project, server};
use crate::support::free_ports;

#[track_caller]
fn refused(run: super::support::Run, code: i32, words: &[&str]) {
    let run = run.expect(code);
    for word in words {
        assert!(run.stdout.contains(word), "no `{word}` in {}", run.stdout);
    }
}

#[test]
fn a_base_that_is_not_there_or_for_another_architecture() {
    let Some(server) = server(None) else { return };
    let base = server.base(&["amd64"]);
    let absent = project(&base.replace(":3", ":4"), "");
    refused(image(&absent, "build"), 2, &["there is no base image", "image.base"]);
    let foreign = project(&base, "architectures = ['arm64']");
    refused(image(&foreign, "build"), 2, &["is not for linux/arm64", "it is for linux/amd64"]);
}

#[test]
fn a_registry_that_nobody_can_reach() {
    let Some(server) = server(None) else { return };
    let nowhere = format!("127.0.0.1:{}", free_ports());
    let base = project(&format!("{nowhere}/base:3"), "");
    refused(image(&base, "build"), 1, &["cannot reach the registry", "proxy or firewall"]);
    let target = project(&server.base(&["amd64"]), &format!("repository = '{nowhere}/airflow'"));
    refused(image(&target, "push"), 1, &["cannot reach the registry"]);
}
