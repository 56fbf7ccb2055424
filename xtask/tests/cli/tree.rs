//! What is wrong with the tree, or with where it lies; told before the local cloud is started.

use crate::project::Project;

#[test]
fn not_within_a_project() {
    let project = Project::new();
    let output = project.command(&["deploy"]).current_dir("/").output().unwrap();
    insta::assert_snapshot!(project.seen(&output).expect(2).stderr, @"");
}

#[test]
fn a_folder_of_the_project_is_within_it() {
    let project = Project::new();
    let output = project.command(&["status"]).current_dir(project.path("dags")).output().unwrap();
    assert!(project.seen(&output).expect(2).stderr.starts_with("error: the local cloud does not run\n"));
}

#[test]
fn no_dags() {
    let project = Project::new();
    project.remove("dags");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"");
    insta::assert_snapshot!(project.refused(&["bundle-dags"]), @"");
}

#[test]
fn empty_dags() {
    let project = Project::new();
    project.remove("dags");
    project.write("dags/.airflowignore", "");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"");
    assert_eq!(project.refused(&["plan"]), project.refused(&["deploy"]));
    insta::assert_snapshot!(project.refused(&["bundle-dags"]), @"");
}

#[test]
fn a_template_without_its_children() {
    let project = Project::new();
    project.remove("templates/broker.yaml");
    project.remove("templates/host-group.yaml");
    insta::assert_snapshot!(project.refused(&["package"]), @"");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"");
}

#[test]
fn no_master_template() {
    let project = Project::new();
    project.remove("templates");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"");
}

#[test]
fn parts_of_the_host_revision_missing() {
    let project = Project::new();
    project.remove("airflow/requirements.lock");
    project.remove("airflow/host/appspec.yml");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"");
}

#[test]
fn a_path_that_other_programs_misread() {
    let project = Project::named("100%");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"");
    for verb in [&["local", "up"][..], &["bundle-dags"], &["status"], &["package"]] {
        assert_eq!(project.refused(verb), project.refused(&["deploy"]), "{verb:?}");
    }
    insta::assert_snapshot!(Project::named("a:b").refused(&["deploy"]), @"");
}
