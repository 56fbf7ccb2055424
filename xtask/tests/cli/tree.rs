//! What is wrong with the tree, or with where it lies; told before the local cloud is started.

use crate::project::Project;

#[test]
fn not_within_a_project() {
    let project = Project::new();
    let output = project.command(&["deploy"]).current_dir("/").output().unwrap();
    insta::assert_snapshot!(project.seen(&output).expect(2).stderr, @"
    error: `/` is not in a Ductwork project
      caused by: neither it nor a folder above it holds `environments/` and
        `Cargo.toml`

    hint: change to your clone of the repository and run the command again
    ");
}

#[test]
fn a_folder_of_the_project_is_within_it() {
    let project = Project::new();
    let output = project.command(&["status"]).current_dir(project.path("dags")).output().unwrap();
    assert!(project.seen(&output).expect(2).stderr.starts_with("error: the local cloud is not running\n"));
}

#[test]
fn no_dags() {
    let project = Project::new();
    project.remove("dags");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    error: `local` cannot be deployed

      dags: there is no such folder
        cure: create it: mkdir -p dags
    ");
    insta::assert_snapshot!(project.refused(&["bundle-dags"]), @r"
    error: cannot pack the DAG bundle

      dags: there is no such folder
        cure: create it: mkdir -p dags
    ");
}

#[test]
fn empty_dags() {
    let project = Project::new();
    project.remove("dags");
    project.write("dags/.airflowignore", "");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    error: `local` cannot be deployed

      dags:
        holds no file to deploy; hidden, compiled and git-ignored files do not count
        cure: put a DAG there, for instance dags/hello.py
    ");
    assert_eq!(project.refused(&["plan"]), project.refused(&["deploy"]));
    insta::assert_snapshot!(project.refused(&["bundle-dags"]), @r"
    error: cannot pack the DAG bundle

      dags:
        holds no file to deploy; hidden, compiled and git-ignored files do not count
        cure: put a DAG there, for instance dags/hello.py
    ");
}

#[test]
fn a_template_without_its_children() {
    let project = Project::new();
    project.remove("templates/cache.yaml");
    project.remove("templates/engines/ec2/host-group.yaml");
    insta::assert_snapshot!(project.refused(&["package"]), @r"
    error: the templates cannot be packaged

      templates/engines/ec2/engine.yaml:118, templates/engines/ec2/engine.yaml:146,
        templates/engines/ec2/worker-set.yaml:293:
        there is no `templates/engines/ec2/host-group.yaml`
        cure: correct the path, or add the file

      templates/master.yaml:117: there is no `templates/cache.yaml`
        cure: correct the path, or add the file
    ");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    error: `local` cannot be deployed

      templates/engines/ec2/engine.yaml:118, templates/engines/ec2/engine.yaml:146,
        templates/engines/ec2/worker-set.yaml:293:
        there is no `templates/engines/ec2/host-group.yaml`
        cure: correct the path, or add the file

      templates/master.yaml:117: there is no `templates/cache.yaml`
        cure: correct the path, or add the file
    ");
}

#[test]
fn no_master_template() {
    let project = Project::new();
    project.remove("templates");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"
    error: `local` cannot be deployed

      templates/master.yaml: does not exist
        cure: restore it, for instance: git checkout -- templates/master.yaml

      templates/engines/ec2/engine.yaml: does not exist
        cure: restore it, for instance:
          git checkout -- templates/engines/ec2/engine.yaml
    ");
}

#[test]
fn parts_of_the_host_revision_missing() {
    let project = Project::new();
    project.remove("airflow/requirements.lock");
    project.remove("airflow/host/appspec.yml");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r"
    error: `local` cannot be deployed

      airflow/requirements.lock: does not exist, and hosts need it to start
        cure: restore it, for instance: git checkout -- airflow/requirements.lock

      airflow/host/appspec.yml: does not exist, and hosts need it to start
        cure: restore it, for instance: git checkout -- airflow/host/appspec.yml
    ");
}

#[test]
fn a_path_that_other_programs_misread() {
    let project = Project::named("100%");
    insta::assert_snapshot!(project.refused(&["deploy"]), @"
    error: the project's path contains `%`: `[PROJECT]`
      caused by: supervisord, Python or Airflow treats that character specially

    hint: rename the folder, for instance:
          mv '[PROJECT]' '[SCRATCH]/100-'
    ");
    for verb in [&["local", "up"][..], &["bundle-dags"], &["status"], &["package"]] {
        assert_eq!(project.refused(verb), project.refused(&["deploy"]), "{verb:?}");
    }
    insta::assert_snapshot!(Project::named("a:b").refused(&["deploy"]), @"
    error: the project's path contains `:`: `[PROJECT]`
      caused by: supervisord, Python or Airflow treats that character specially

    hint: rename the folder, for instance:
          mv '[PROJECT]' '[SCRATCH]/a-b'
    ");
}

/// Mistakes of all environments, with everything else that is wrong.
#[test]
fn objects_of_airflow() {
    let project = Project::new();
    let text = "[connections.warehouse]\nconn_typ = \"postgres\"\npassword = \"hunter2\"\n\
                [environments.dev.pools.p]\nslots = 0\n[environments.prd.variables]\n";
    project.write("airflow/objects.toml", text);
    project.remove("airflow/host/appspec.yml");
    insta::assert_snapshot!(project.refused(&["deploy"]), @r#"
    error: `local` cannot be deployed

      airflow/host/appspec.yml: does not exist, and hosts need it to start
        cure: restore it, for instance: git checkout -- airflow/host/appspec.yml

      airflow/objects.toml:1 `connections.warehouse`: `conn_type` is missing
        cure: add its type, as in `conn_type = "postgres"`

      airflow/objects.toml:2 `connections.warehouse.conn_typ`: unknown key
        cure: rename it to `conn_type`, or remove it

      airflow/objects.toml:3 `connections.warehouse.password`:
        passwords do not belong in this file
        cure: write `secret = "connections/warehouse"`, and store it:
          cargo xtask secret set connections/warehouse --env ENV

      airflow/objects.toml:5 `environments.dev.pools.p.slots`: `0` is out of range:
        1 to 1000000
        cure: use a number from 1 to 1000000

      airflow/objects.toml:6 `environments.prd`: there is no environment `prd`:
        no file `environments/prd.toml`
        cure: rename it to `environments.prod`, or remove it
    "#);
    assert_eq!(project.refused(&["plan"]), project.refused(&["deploy"]));
}
