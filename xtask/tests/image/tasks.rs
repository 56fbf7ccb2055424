//! The image of an external task: made by the builder of the main image, of a folder of the project.

use super::support::project::Project;
use super::{PACKAGES, locked, minor, server, unpacked};
use serde_json::{Value, json};
use xtask::apply::image::Made;
use xtask::config::ForeignImage;
use xtask::fail::Result;
use xtask::model::event::Sink;
use xtask::observe::environment;
use xtask::session::image::planned_task;
use xtask::session::task_images::foreign;

const TASK: &str = "\n[tasks.report]\nfolder = 'tasks/report'\n";

fn project() -> Project {
    let project = Project::new();
    project.edit("environments/local.toml", |text| format!("engine = 'fargate'\n{text}{TASK}"));
    project
}

/// What is made, and under which tag.
fn made(project: &Project) -> Result<(Made, String)> {
    let environment = environment::load(project.path(), "local")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sink = Sink::null();
        let planned = planned_task(project.path(), &environment, ("report", "tasks/report"), &sink).await?;
        let tag = planned.recipe.tag.clone();
        Ok((planned.build(&sink).await?.0, tag))
    })
}

/// The names in each of its layers.
fn layers(project: &Project, made: &Made) -> Vec<Vec<String>> {
    let blobs = project.path().join(".ductwork/cache/image/blobs");
    let names = |digest: String| unpacked(&blobs.join(digest)).into_keys().collect();
    made.images[0].above.iter().map(|layer| names(layer.digest.to_string())).collect()
}

#[test]
fn a_folder_becomes_an_image_with_its_own_packages_and_nothing_of_airflow() {
    let project = project();
    let lock = locked(&project.read("airflow/requirements.lock"), PACKAGES[0]);
    project.write("tasks/report/requirements.lock", &lock);
    let (first, tag) = made(&project).unwrap();
    let [packages, code] = layers(&project, &first).try_into().unwrap();
    let site = format!("opt/ductwork/venv/lib/python{}/site-packages", minor());
    assert!(packages.iter().any(|name| *name == format!("{site}/click/core.py")), "{packages:?}");
    assert!(!packages.iter().any(|name| name.contains("airflow") || name.contains("markupsafe")));
    assert!(code.contains(&"opt/ductwork/task/main.py".to_owned()), "{code:?}");
    assert!(!code.iter().any(|name| name.contains("revision")), "{code:?}");

    let document: Value = serde_json::from_slice(&first.images[0].configuration.bytes).unwrap();
    let config = &document["config"];
    assert_eq!([&config["User"], &config["WorkingDir"]], ["50000:0", "/opt/ductwork/task"]);
    assert!(
        config.get("Entrypoint").is_none_or(|words| *words == json!([])),
        "the definition names the command"
    );
    let path =
        config["Env"].as_array().unwrap().iter().find(|one| one.as_str().unwrap().starts_with("PATH="));
    assert!(path.unwrap().as_str().unwrap().starts_with("PATH=/opt/ductwork/venv/bin:"), "{config}");

    // The same folder makes the same image; another file another, on the same packages.
    assert_eq!(made(&project).unwrap().1, tag);
    project.edit("tasks/report/main.py", |text| format!("{text}# changed\n"));
    let (second, other) = made(&project).unwrap();
    assert_ne!(other, tag);
    assert_eq!(first.images[0].above[0], second.images[0].above[0], "packages");
    project.write("plugins/ours.py", "X = 1\n");
    assert_eq!(made(&project).unwrap().1, other, "what belongs to Airflow is not in it");
}

#[test]
fn what_is_wrong_with_folders_is_told_before_anything_is_made() {
    let project = project();
    let more = "[tasks.nowhere]\nfolder = 'tasks/nowhere'\n[tasks.loose]\nfolder = 'tasks/loose'\n";
    project.edit("environments/local.toml", |text| format!("{text}{more}"));
    project.write("tasks/loose/requirements.txt", "click\n");
    let refused = project.run(&["plan", "--env", "local", "--format", "json"]).expect(2);
    for said in [
        "there is no such folder",
        "mkdir -p tasks/nowhere",
        "names packages without their checksums",
        "uv pip compile --generate-hashes --universal tasks/loose/requirements.txt -o tasks/loose/requirements.lock",
    ] {
        assert!(refused.stdout.contains(said), "{said}: {}", refused.stdout);
    }
}

/// By its digest for good: what the tag means later changes nothing.
#[test]
fn the_tag_of_an_image_of_somebody_else_is_looked_up_once() {
    let Some(server) = server(None) else { return };
    let project = project();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let found = |image: &str| {
        let image = ForeignImage::parse(image).unwrap();
        runtime.block_on(foreign(project.path(), &image, &Sink::null()))
    };
    let base = server.base(&["amd64"]);
    let named = found(&base).unwrap();
    let (name, digest) = named.split_once('@').unwrap();
    assert_eq!(base.rsplit_once(':').unwrap().0, name);
    assert!(project.read("airflow/base.lock").contains(digest), "written down");
    assert_eq!(found(&format!("{name}@{digest}")).unwrap(), named, "a digest needs no look");
    let gone = found(&format!("{name}:nowhere")).unwrap_err();
    assert!(gone.hints().iter().any(|hint| hint.contains("by its digest")), "{:?}", gone.hints());
    drop(server);
    assert_eq!(found(&base).unwrap(), named, "nobody is asked");
}
