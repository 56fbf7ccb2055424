//! What is built: the same everywhere, for the architecture that is asked for.

use super::support::project::Project;
use super::{SYSTEM, image, project, server, text, unpacked};
use serde_json::Value;
use std::process::Command;

fn built(project: &Project) -> Value {
    image(project, "build").expect(0).json()
}

fn layers(built: &Value, of_base: bool) -> Vec<String> {
    let layers = built["layers"].as_array().unwrap().iter();
    let layers = layers.filter(|layer| layer["base"] == of_base);
    layers.map(|layer| text(layer, "digest").to_owned()).collect()
}

fn blob(project: &Project, digest: &str) -> std::path::PathBuf {
    project.path().join(".ductwork/cache/image/blobs").join(digest.trim_start_matches("sha256:"))
}

#[test]
fn the_same_tree_makes_the_same_image_whoever_builds_it_and_where() {
    let Some(server) = server(None) else { return };
    let base = server.base(&["amd64"]);
    let (here, there) = (project(&base, ""), project(&base, ""));
    let first = built(&here);
    // Another folder, time zone, umask and home.
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(env!("CARGO_BIN_EXE_xtask"));
    command.args(["image", "build", "--env", "local", "--format", "json"]).current_dir(there.path());
    command.env("TZ", "Asia/Tokyo").env("LC_ALL", "C").env(SYSTEM.0, SYSTEM.1).env("PYTHONHASHSEED", "7");
    let output = command.output().unwrap();
    let second: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(first, second);
    assert_eq!(first, built(&here), "nothing changed");
}

#[test]
fn an_image_on_nothing_is_our_layers_alone() {
    let Some(server) = server(None) else { return };
    let project = project("scratch", &format!("repository = '{}/airflow'", server.host()));
    let made = built(&project);
    assert_eq!((layers(&made, false).len(), layers(&made, true).len()), (2, 0), "{made}");
    assert_eq!(made["base"], "scratch");
    assert!(!project.path().join("airflow/base.lock").exists());
    let pushed = image(&project, "push").expect(0).json();
    assert_eq!((&pushed["pushed"], &pushed["layers"]), (&Value::Bool(true), &Value::from(2)), "{pushed}");
    let shown = image(&project, "show").expect(0).json();
    assert_eq!(
        (&shown["images"][0]["platform"], &shown["images"][0]["base"]),
        (&"linux/amd64".into(), &"scratch".into())
    );
}

#[test]
fn an_image_is_for_the_architectures_that_are_asked_for() {
    let Some(server) = server(None) else { return };
    let base = server.base(&["amd64", "arm64"]);
    let project = project(&base, "architectures = ['arm64', 'x86_64']");
    let built = built(&project);
    let ours = layers(&built, false);
    assert_eq!((ours.len(), layers(&built, true).len()), (4, 2));
    // Packages of arm64, project, packages of x86_64, project.
    assert_eq!(ours[1], ours[3], "the project is the same on every architecture");
    for (digest, machine) in [(&ours[0], 0xb7_u8), (&ours[2], 0x3e)] {
        let files = unpacked(&blob(&project, digest));
        let shared: Vec<_> = files.iter().filter(|(_, content)| content.starts_with(b"\x7fELF")).collect();
        assert!(shared.iter().any(|(name, _)| name.ends_with(".so")), "{:?}", files.keys());
        for (name, content) in shared {
            // e_machine of the ELF header: 0xb7 is AArch64, 0x3e is x86-64.
            assert_eq!(content[18], machine, "{name}");
        }
    }
}

#[test]
fn an_image_has_what_a_component_needs_and_no_more() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "");
    project.write("plugins/ours.py", "X = 1\n");
    let built = built(&project);
    let ours = layers(&built, false);
    let packages = unpacked(&blob(&project, &ours[0]));
    let minor = super::minor();
    let site = format!("opt/ductwork/venv/lib/python{minor}/site-packages");
    let named = |name: &str| packages.get(name).map(|content| String::from_utf8_lossy(content).into_owned());
    assert!(named("opt/ductwork/venv/pyvenv.cfg").unwrap().starts_with("home = /usr/local/bin\n"));
    assert!(packages["opt/ductwork/venv/bin/dumb-init"].starts_with(b"\x7fELF"));
    let tag = format!("cpython-{}", minor.replace('.', ""));
    assert!(packages.contains_key(&format!("{site}/click/__pycache__/core.{tag}.pyc")), "byte code is in it");
    assert!(!packages.keys().any(|name| name.starts_with(&format!("{site}/bin/"))), "{:?}", packages.keys());

    project.run_with(&["image", "build", "--env", "local", "--sbom", "sbom.json"], &[SYSTEM]).expect(0);
    let sbom: Value = serde_json::from_str(&project.read("sbom.json")).unwrap();
    assert_eq!((text(&sbom, "bomFormat"), sbom["components"].as_array().unwrap().len()), ("CycloneDX", 4));

    let files = unpacked(&blob(&project, &ours[1]));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    for name in ["plugins/ours.py", "ductwork_airflow/images/start.py", "config/webserver_config.py"] {
        assert!(names.contains(&format!("opt/ductwork/revision/{name}").as_str()), "{name} of {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("tests") || name.contains("hooks")), "{names:?}");
}

/// Only the project's layer is made anew, and it is small.
#[test]
fn a_changed_plugin_changes_one_small_layer() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "");
    let before = built(&project);
    project.write("plugins/ours.py", "X = 2\n");
    let after = built(&project);
    let (old, new) = (layers(&before, false), layers(&after, false));
    assert_eq!(old[0], new[0]);
    assert_ne!(old[1], new[1]);
    assert_ne!(text(&before, "tag"), text(&after, "tag"));
    assert!(blob(&project, &new[1]).metadata().unwrap().len() < 200_000);
}
