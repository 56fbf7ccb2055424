//! Documents of images, compared with what the OCI says of them.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn digest(text: &str) -> String {
    format!("sha256:{}", Digest::of(text.as_bytes()))
}

fn base(kind: &str) -> Base {
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7, "digest": digest("config")},
        "layers": [{"mediaType": kind, "size": 11, "digest": digest("layer")}],
    });
    let configuration = json!({
        "architecture": "arm64", "os": "linux", "docker_version": "20.10",
        "config": {
            "Env": ["PATH=/usr/local/bin:/bin", "PYTHON_VERSION=3.12.9", "LANG=C"], "Cmd": ["python3"],
            "Labels": {"org.opencontainers.image.version": "bookworm"},
        },
        "rootfs": {"type": "layers", "diff_ids": [digest("content")]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "debian"}],
    });
    Base::read(manifest.to_string().as_bytes(), configuration.to_string().as_bytes()).unwrap()
}

fn added(name: &str) -> Added {
    let layer = Layer { digest: Digest::of(name.as_bytes()), content: Digest::of(b"in it"), size: 5 };
    Added { layer, about: name.to_owned() }
}

fn start() -> Start {
    Start {
        variables: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        path: vec!["/opt/bin".to_owned()],
        entrypoint: vec!["/opt/init".to_owned()],
        user: "50000:0".to_owned(),
        folder: "/opt".to_owned(),
        ports: vec!["8080/tcp".to_owned()],
        volumes: ["/tmp", "/var/lib/d", "/var/log/d"].map(str::to_owned).to_vec(),
        labels: BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]),
        created: "2026-11-28T00:00:00Z".to_owned(),
    }
}

const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[test]
fn our_layers_lie_on_those_of_the_base_and_nothing_of_it_starts() {
    let image = assemble(&base(DOCKER), &[added("packages"), added("project")], &start()).unwrap();
    let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    let layers: Vec<_> =
        manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect();
    assert_eq!(layers, [digest("layer"), digest("packages"), digest("project")].map(Value::from));
    let kinds = manifest["layers"].as_array().unwrap().iter();
    assert!(kinds.clone().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"));
    assert_eq!(manifest["config"]["digest"], format!("sha256:{}", image.configuration.digest));
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");

    let made: Value = serde_json::from_slice(&image.configuration.bytes).unwrap();
    assert_eq!(made["architecture"], "arm64");
    assert_eq!(made["rootfs"]["diff_ids"], json!([digest("content"), digest("in it"), digest("in it")]));
    assert_eq!(made["history"].as_array().unwrap().len(), 3);
    let config = &made["config"];
    assert_eq!(
        config["Env"],
        json!(["PATH=/opt/bin:/usr/local/bin:/bin", "PYTHON_VERSION=3.12.9", "LANG=C.UTF-8"])
    );
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/opt/init"]), &Value::Null));
    assert_eq!(config["User"], "50000:0");
    assert_eq!(config["Volumes"], json!({"/tmp": {}, "/var/lib/d": {}, "/var/log/d": {}}));
    assert_eq!(config["Labels"], json!({"a": "1", "b": "2"}), "the base's labels are not about this image");
}

#[test]
fn the_same_parts_make_the_same_bytes() {
    let make = || assemble(&base(DOCKER), &[added("packages")], &start()).unwrap();
    let first = make();
    assert!((0..20).all(|_| make() == first), "labels and annotations are in an order of their own");
    let other = assemble(&base(DOCKER), &[added("others")], &start()).unwrap();
    assert_ne!(first.manifest.digest, other.manifest.digest);
}

#[test]
fn an_index_names_the_platform_of_each_image() {
    let image = assemble(&base(DOCKER), &[], &start()).unwrap();
    let index: Value = serde_json::from_slice(&index(std::slice::from_ref(&image)).unwrap().bytes).unwrap();
    assert_eq!(index["manifests"][0]["digest"], format!("sha256:{}", image.manifest.digest));
    assert_eq!(index["manifests"][0]["platform"], json!({"architecture": "arm64", "os": "linux"}));
}

#[test]
fn a_base_says_its_python_and_what_nobody_may_copy_is_refused() {
    assert_eq!(base(DOCKER).python(), Some("3.12.9"));
    let foreign = base("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let refused = assemble(&foreign, &[], &start()).unwrap_err().to_string();
    assert!(refused.contains("cannot be copied"), "{refused}");
    let short = Base::read(
        br#"{"schemaVersion":2,"config":{"mediaType":"a/b","size":1,"digest":"sha256:0"},"layers":[]}"#,
        b"{}",
    );
    short.unwrap_err();
}
