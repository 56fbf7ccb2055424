//! A release has the image, if deployments are to make one.

use super::support::project::Project;
use super::support::repository;
use super::{SYSTEM, minor, server, set, text};
use serde_json::Value;

fn deployed(project: &Project) -> Value {
    let run = project.run_with(&["deploy", "--env", "local", "--yes", "--format", "json"], &[SYSTEM]);
    run.expect(0).json()
}

fn image(project: &Project, release: &str) -> Option<String> {
    let record = project.object(&format!("environments/local/releases/{release}.json")).unwrap();
    let image = record["artifacts"].as_array().unwrap().iter().find(|one| one["kind"] == "image").cloned();
    image.map(|image| text(&image, "digest").to_owned())
}

fn steps(result: &Value) -> Vec<&str> {
    result["steps"].as_array().unwrap().iter().map(|step| text(step, "name")).collect()
}

#[test]
fn a_deployment_brings_the_image_and_the_release_names_it() {
    let Some(server) = server(None) else { return };
    let project = Project::without_airflow();
    project.share_layers();
    // All packages, since the DAGs are parsed with them.
    let settings = format!("deploy = true\ninterpreter = '/usr/bin/python{}'", minor());
    set(&project, &server.base(&["amd64"]), &settings);
    // Hosts run a stub, the image does not.
    for file in ["METADATA", "entry_points.txt"] {
        let name = format!("airflow/host/ductwork.dist-info/{file}");
        project.write(&name, &std::fs::read_to_string(repository().join(&name)).unwrap());
    }
    let first = deployed(&project);
    assert!(steps(&first).contains(&"image"), "{first}");
    let named = image(&project, text(&first, "release")).unwrap();
    let pushed = super::image(&project, "push").expect(0).json();
    assert_eq!((&pushed["pushed"], text(&pushed, "digest")), (&false.into(), named.as_str()));
    assert_eq!(deployed(&project)["outcome"], "unchanged");

    project.write("plugins/ours.py", "X = 1\n");
    let plan = project.run_with(&["plan", "--env", "local", "--format", "json"], &[SYSTEM]).expect(0).json();
    assert_eq!(plan["image"]["action"], "upload");
    let second = deployed(&project);
    let other = image(&project, text(&second, "release")).unwrap();
    assert_eq!(plan["image"]["digest"], other.as_str());
    assert_ne!(other, named);

    let back = project.run_with(&["rollback", "--env", "local", "--yes", "--format", "json"], &[SYSTEM]);
    let back = back.expect(0).json();
    assert_eq!(back["release"], first["release"]);
    assert!(!steps(&back).contains(&"image"), "the registry has it: {back}");
}
