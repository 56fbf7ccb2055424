//! What is pushed: the image and whatever of its base the registry lacks, each once.

use super::support::project::Project;
use super::{image, project, server, text};
use std::fs;
use xtask::doors::aws::Aws;
use xtask::model::cloud::Cloud;

#[test]
fn an_image_is_pushed_once_and_a_change_of_it_alone() {
    let Some(server) = server(None) else { return };
    let base = server.base(&["amd64", "arm64"]);
    let repository = format!("repository = '{}/data/airflow'", server.host());
    let project = project(&base, &format!("{repository}\narchitectures = ['x86_64', 'arm64']"));
    let first = image(&project, "push").expect(0).json();
    assert_eq!(first["pushed"], true);
    assert_eq!(first["layers"], 3, "the base's layers are mounted: {first}");
    assert!(text(&first, "image").starts_with(&format!("{}/data/airflow@sha256:", server.host())));
    let manifest = fs::read(server.stored(text(&first, "digest"))).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for manifest in index["manifests"].as_array().unwrap() {
        let stored = fs::read(server.stored(text(manifest, "digest"))).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&stored).unwrap();
        for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let size = fs::metadata(server.stored(text(part, "digest"))).unwrap().len();
            assert_eq!(part["size"], size);
        }
    }

    let second = image(&project, "push").expect(0).json();
    assert_eq!((&second["pushed"], &second["digest"]), (&false.into(), &first["digest"]));

    project.write("plugins/ours.py", "X = 1\n");
    let third = image(&project, "push").expect(0).json();
    assert_eq!(third["layers"], 1);
    assert!(third["bytes"].as_u64().unwrap() < 200_000, "{third}");
}

/// From one registry to another: nothing can be mounted.
#[test]
fn a_base_from_another_registry_is_copied() {
    let Some(from) = server(None) else { return };
    let Some(to) = server(None) else { return };
    let base = from.base(&["amd64"]);
    let project = project(&base, &format!("repository = '{}/airflow'", to.host()));
    let pushed = image(&project, "push").expect(0).json();
    assert_eq!(pushed["layers"], 3, "{pushed}");
}

/// The repository of the account, here of the local cloud, with a login that only AWS gives.
#[test]
fn the_local_cloud_has_a_registry_too() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "");
    let refused = image(&project, "push").expect(2).stdout;
    assert!(
        refused.contains("no repository `ductwork`") && refused.contains("first deployment"),
        "{refused}"
    );
    create_repository(&project);
    let pushed = image(&project, "push").expect(0).json();
    assert!(text(&pushed, "image").contains("/ductwork@sha256:"), "{pushed}");
    assert_eq!(image(&project, "push").expect(0).json()["pushed"], false);
}

/// As `bootstrap.yaml` does.
fn create_repository(project: &Project) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let aws = Aws::connect("test", "us-east-1", Some(&project.endpoint()), Cloud::Local).await;
        aws.ecr.create_repository().repository_name("ductwork").send().await.unwrap();
    });
}
