//! Which builder is taken, and what is told if none can be.

use super::*;

fn idle(name: Builder, why: &str) -> (Builder, Fail) {
    (name, Fail::failed(format!("`{name} info` ended with exit status: 1")).cause(why))
}

#[test]
fn a_builder_that_does_not_work_is_named_with_its_reason_and_cure() {
    let fail =
        none(&Builder::ALL, vec![idle(Builder::Docker, "no daemon"), idle(Builder::Podman, "no store")]);
    let causes = fail.causes();
    assert_eq!(causes[0], "docker is installed and does not work: no daemon");
    assert_eq!(causes[1], "podman is installed and does not work: no store");
    let hints = fail.hints().join("\n");
    assert!(hints.contains("systemctl start docker") && hints.contains("podman info"), "{hints}");
    assert_eq!(fail.kind(), Kind::Usage);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        none(&Builder::ALL, vec![]).causes(),
        ["there is none of docker, podman, buildah on the path"]
    );
    let named = none(&[Builder::Buildah], vec![]);
    assert_eq!(named.causes(), ["there is no buildah on the path, which `image.builder` names"]);
}

#[test]
fn another_architecture_is_told_only_where_it_is_another() {
    let (arm, x86) = (Architecture::Arm, Architecture::X86);
    let fail = foreign(Fail::failed("no"), arm, Some(x86));
    assert_eq!(fail.causes(), ["the image is for arm64, this machine is x86_64"]);
    assert!(fail.hints()[0].contains("qemu-user-static"), "{:?}", fail.hints());
    assert!(foreign(Fail::failed("no"), arm, Some(arm)).hints().is_empty());
}

fn words(name: Builder, buildx: bool, base: &str) -> (String, String) {
    let stage = Stage {
        name: "system",
        root: Path::new("/p"),
        architecture: Architecture::Arm,
        base,
        arguments: vec![("PACKAGES", "a b".to_owned())],
        context: Path::new("/c"),
        tag: "t:1".to_owned(),
    };
    let tool = Tool { name, buildx };
    (tool.command(&stage).to_string(), tool.save(&stage, Path::new("/s.tar")).to_string())
}

#[test]
fn each_builder_is_spoken_to_in_its_own_words() {
    let base = "127.0.0.1:5000/base@sha256:00";
    let (build, save) = words(Builder::Docker, false, base);
    let start = "docker build --network host --platform linux/arm64 --target system --build-arg BASE=127";
    assert!(build.starts_with(start) && build.contains("--build-arg 'PACKAGES=a b'"), "{build}");
    assert!(build.ends_with("--tag t:1 --file /p/airflow/Dockerfile /c"), "{build}");
    assert_eq!(save, "docker save --output /s.tar t:1");
    assert!(words(Builder::Docker, true, base).0.starts_with("docker buildx build --load --network"));
    assert!(words(Builder::Podman, false, base).0.contains("--tls-verify=false"));
    assert!(!words(Builder::Podman, false, "docker.io/library/python@sha256:00").0.contains("--tls-verify"));
    assert_eq!(words(Builder::Buildah, false, base).1, "buildah push t:1 docker-archive:/s.tar:t:1");
}
