//! A disk that is full: what is told names the cure, and nothing half-made is taken for whole.

use super::support::project::Project;
use super::{image, project, server};
use crate::support::say;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own, in memory.
struct Disk(PathBuf);

impl Disk {
    /// None where this user may not mount.
    fn mounted(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(folder.to_owned()))
    }

    fn grow(&self, size: &str) {
        let remount = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &remount]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn refused(project: &Project) -> String {
    let run = image(project, "build").expect(2);
    assert!(run.stdout.contains("free some disk space"), "{}", run.stdout);
    run.stdout
}

#[test]
fn a_full_disk_is_named_with_its_cure_and_the_next_build_is_whole() {
    let Some(server) = server(None) else { return };
    let base = server.base(&["amd64"]);
    let full = project(&base, "");
    let Some(disk) = Disk::mounted(&full.path().join(".ductwork/cache/image"), "32k") else {
        return say("SKIPPED: a full disk: this user may not mount a file system");
    };
    // A layer of ours does not fit, which the system says in its error.
    assert!(refused(&full).contains("No space left on device"));
    // Packages do not fit, which Python says in its own words.
    disk.grow("512k");
    let told = refused(&full);
    assert!(told.contains("is on a disk with only 0 MB left"), "{told}");
    disk.grow("100m");
    let after = image(&full, "build").expect(0).json();
    let plain = project(&base, "");
    assert_eq!(after, image(&plain, "build").expect(0).json());
}
