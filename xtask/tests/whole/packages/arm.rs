//! Packages of an image for arm64 run: their compiled modules are imported by Debian's Python of arm64, under qemu.

use crate::image::{system_python, works};
use crate::support::project::Project;
use crate::support::registry::Server;
use crate::support::{repository, say};
use std::path::Path;
use std::process::Command;

const QEMU: &str = "qemu-aarch64-static";
/// Every compiled module of a folder, and Airflow. What does not load is printed with its reason.
const IMPORT: &str = r"
import importlib, platform, sys, warnings
from pathlib import Path
warnings.simplefilter('ignore')
site, count, failed = Path(sys.argv[1]), 0, []
import airflow
import psycopg  # Its compiled half wants to be second.
for file in sorted(site.rglob('*.so')):
    # Shared libraries beside the packages are loaded by them; tests of packages need more than is installed.
    if file.parts[len(site.parts)].endswith('.libs') or 'tests' in file.parts:
        continue
    name = '.'.join([*file.parent.relative_to(site).parts, file.name.partition('.')[0]])
    try:
        importlib.import_module(name)
        count += 1
    except BaseException as error:
        failed.append(f'{name}: {error!r}')
print(platform.machine(), airflow.__version__, count)
sys.exit('\n'.join(failed) or 0)
";

/// Files of arm64, or why there are none.
fn root() -> Result<std::path::PathBuf, String> {
    if !works(QEMU, "--version") {
        return Err(format!("there is no {QEMU}"));
    }
    let made = Command::new(repository().join("dev/arm.sh")).output().unwrap();
    if !made.status.success() {
        return Err(format!("dev/arm.sh fails: {}", String::from_utf8_lossy(&made.stderr).trim()));
    }
    Ok(repository().join(".ductwork/servers/arm64"))
}

/// The layer of locked packages for arm64, unpacked.
fn packages(server: &Server, folder: &Path) {
    let project = Project::new();
    project.share_layers();
    let base = server.base_with(&["arm64"], "3.11");
    project.edit("environments/local.toml", |text| {
        format!(
            "{text}\n[image]\nbase = '{base}'\npython = '3.11'\ninterpreter = '/usr/bin/python3.11'\n\
             architectures = ['arm64']\n"
        )
    });
    let build = ["image", "build", "--env", "local", "--format", "json"];
    let built = project.run_with(&build, system_python()).expect(0).json();
    let layers = built["layers"].as_array().unwrap();
    let digest = layers[layers.len() - 2]["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let blob = project.path().join(".ductwork/cache/image/blobs").join(digest);
    xtask::doors::unpack::unpack_layer(&blob, folder).unwrap();
}

#[test]
fn compiled_packages_for_arm64_are_imported() {
    let root = match root() {
        Ok(root) => root,
        Err(why) => return say(&format!("SKIPPED: packages of arm64: {why}")),
    };
    let Some(server) = Server::start(None) else {
        return say(
            "SKIPPED: packages of arm64: there is no docker-registry, and dev/registry.sh cannot fetch it",
        );
    };
    let scratch = tempfile::tempdir().unwrap();
    packages(&server, &scratch.path().join("image"));
    let site = scratch.path().join("image/opt/ductwork/venv/lib/python3.11/site-packages");
    let output = Command::new(QEMU)
        .arg("-L")
        .arg(&root)
        .arg(root.join("usr/bin/python3.11"))
        .args(["-c", IMPORT])
        .arg(&site)
        .env_clear()
        .env("PYTHONPATH", &site)
        .env("HOME", scratch.path())
        .env("AIRFLOW_HOME", scratch.path())
        .current_dir(scratch.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let text = format!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    let words: Vec<&str> = told.trim().rsplit('\n').next().unwrap().split(' ').collect();
    assert!(words[0] == "aarch64" && words[1].starts_with("3."), "{text}");
    let modules: usize = words[2].parse().unwrap();
    assert!(modules > 40, "{text}");
    say(&format!("    {modules} compiled modules of arm64 were imported"));
}
