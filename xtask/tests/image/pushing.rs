//! What is pushed: the image and whatever of its base the registry lacks, each once.

use super::support::project::Project;
use super::support::proxy::{Fate, Proxy};
use super::support::registry::Server;
use super::{image, project, server, text};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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

    is_listed(&server, text(&first, "digest"));

    let second = image(&project, "push").expect(0).json();
    assert_eq!((&second["pushed"], &second["digest"]), (&false.into(), &first["digest"]));

    let shown = image(&project, "show").expect(0).json();
    assert_eq!(shown["digest"], first["digest"]);
    let platforms: Vec<&str> =
        shown["images"].as_array().unwrap().iter().map(|image| text(image, "platform")).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(shown["images"][0]["base"], base.as_str());

    project.write("plugins/ours.py", "X = 1\n");
    assert_eq!(image(&project, "show").expect(0).json()["digest"], serde_json::Value::Null);
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

const TAKEN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n\
                     {\"errors\": [{\"code\": \"TAG_INVALID\", \"message\": \"the tag exists\"}]}";

/// The connection ends when everything is there but the image itself.
#[test]
fn a_push_that_was_interrupted_goes_on_where_it_was() {
    let Some(server) = server(None) else { return };
    let cut = Arc::new(AtomicBool::new(true));
    let cutting = cut.clone();
    let proxy = Proxy::before(server.port, move |request| {
        let is_manifest = request.starts_with("PUT ") && request.contains("/manifests/");
        if is_manifest && cutting.load(Relaxed) { Fate::Cut } else { Fate::Pass }
    });
    let project =
        project(&server.base(&["amd64"]), &format!("repository = '127.0.0.1:{}/airflow'", proxy.port));
    let interrupted = image(&project, "push").expect(1).stdout;
    assert!(
        interrupted.contains("was interrupted") && interrupted.contains("run the same command again"),
        "{interrupted}"
    );
    cut.store(false, Relaxed);
    let pushed = image(&project, "push").expect(0).json();
    assert_eq!((&pushed["pushed"], &pushed["layers"]), (&true.into(), &0.into()), "{pushed}");
}

/// The tag comes last: whoever finds an image by it finds what is in it, too.
#[test]
fn an_image_whose_list_cannot_be_attached_is_not_there() {
    let Some(server) = server(None) else { return };
    let proxy = Proxy::before(server.port, |request| {
        // One architecture: nothing else is put by its digest.
        let is_list = request.starts_with("PUT ") && request.contains("/manifests/sha256:");
        if is_list { Fate::Answer("HTTP/1.1 500 Internal Server Error\r\n\r\n".into()) } else { Fate::Pass }
    });
    let project =
        project(&server.base(&["amd64"]), &format!("repository = '127.0.0.1:{}/airflow'", proxy.port));
    image(&project, "push").expect(1);
    assert_eq!(image(&project, "show").expect(0).json()["digest"], serde_json::Value::Null);
}

/// Tags are immutable: of two that push at the same time one comes too late.
#[test]
fn an_image_that_somebody_else_has_just_pushed_is_the_image() {
    let Some(server) = server(None) else { return };
    let seen = Arc::new(AtomicBool::new(false));
    let proxy = Proxy::before(server.port, move |request| {
        let (is_tag, first) = (request.contains("/airflow/manifests/"), !seen.load(Relaxed));
        match request.split(' ').next() {
            Some("GET") if is_tag && first => Fate::Answer("HTTP/1.1 404 Not Found\r\n\r\n".into()),
            Some("PUT") if is_tag => {
                seen.store(true, Relaxed);
                Fate::Answer(TAKEN.into())
            }
            _ => Fate::Pass,
        }
    });
    let base = server.base(&["amd64"]);
    let rival = project(&base, &format!("repository = '{}/airflow'", server.host()));
    let theirs = rival.run_with(
        &["image", "push", "--env", "local", "--format", "json"],
        // Another time of creation: the same image by its tag, another digest.
        &[super::SYSTEM, ("SOURCE_DATE_EPOCH", "1000000000")],
    );
    let theirs = theirs.expect(0).json();
    let ours = project(&base, &format!("repository = '127.0.0.1:{}/airflow'", proxy.port));
    let pushed = image(&ours, "push").expect(0).json();
    assert_eq!((&pushed["tag"], &pushed["digest"]), (&theirs["tag"], &theirs["digest"]));
    let built = image(&ours, "build").expect(0).json();
    assert_ne!(built["digest"], theirs["digest"]);
}

/// What is in the image refers to it; Debian's registry keeps no list of referrers, so a tag leads to one.
fn is_listed(server: &Server, digest: &str) {
    let digest = digest.trim_start_matches("sha256:");
    let url = format!("http://{}/v2/data/airflow/manifests/sha256-{digest}", server.host());
    let mut answer = ureq::get(&url).header("Accept", xtask::plan::image::INDEX).call().unwrap();
    let list: serde_json::Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    let [referrer] = list["manifests"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!(referrer["artifactType"], "application/vnd.cyclonedx+json");
    let read = |digest: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(server.stored(digest)).unwrap()).unwrap()
    };
    let referrer = read(text(referrer, "digest"));
    assert_eq!(referrer["subject"]["digest"], format!("sha256:{digest}"));
    let sbom = read(text(&referrer["layers"][0], "digest"));
    let components: Vec<&str> =
        sbom["components"].as_array().unwrap().iter().map(|one| text(one, "name")).collect();
    assert!(components[0].ends_with("/base:3"), "{components:?}");
    for name in ["click", "MarkupSafe", "dumb-init"] {
        assert_eq!(components.iter().filter(|one| **one == name).count(), 1, "{name} of {components:?}");
    }
}
