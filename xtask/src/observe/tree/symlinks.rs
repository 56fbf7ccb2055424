//! Symbolic links: followed to their content inside the folder, refused when they lead elsewhere.
//!
//! An archive holds files only, so that it unpacks alike everywhere and nothing in it can point out
//! of the place it is unpacked to.

use super::Walk;
use crate::doors::stat::Stat;
use std::path::Path;

pub(super) fn follow(walk: &mut Walk<'_>, path: &Path, name: &str) {
    match path.read_link() {
        Ok(target) if target.is_absolute() => {
            let message = format!("is a symbolic link to the absolute path `{}`", target.display());
            let cure = "make it relative, for it leads elsewhere in another checkout: ln -sfnr TARGET LINK";
            return walk.problem(path, "symlink_absolute", message, cure);
        }
        Ok(_) => {}
        Err(error) => return walk.unreadable(path, &error),
    }
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) => return broken(walk, path, &error),
    };
    if !real.starts_with(&walk.top) {
        return leaves(walk, path);
    }
    match real.metadata() {
        Ok(meta) if meta.is_dir() && above(walk, Stat::of(&meta)) => cycle(walk, path),
        Ok(meta) => walk.found(path, name, meta.file_type(), &meta),
        Err(error) => walk.unreadable(path, &error),
    }
}

fn above(walk: &Walk<'_>, stat: Stat) -> bool {
    walk.above.contains(&(stat.device, stat.inode))
}

pub(super) fn leaves(walk: &mut Walk<'_>, path: &Path) {
    let target = path.read_link().unwrap_or_default();
    let message = format!("is a symbolic link that points outside the folder, to `{}`", target.display());
    walk.problem(path, "symlink_leaves", message, "put the files themselves there instead of the link");
}

fn cycle(walk: &mut Walk<'_>, path: &Path) {
    let message = "is a symbolic link to itself or to a folder above it";
    walk.problem(path, "symlink_cycle", message, "remove the link, or let it lead to another folder");
}

fn broken(walk: &mut Walk<'_>, path: &Path, error: &std::io::Error) {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            let target = path.read_link().unwrap_or_default();
            let message = format!("is a symbolic link to `{}`, which does not exist", target.display());
            walk.problem(path, "symlink_broken", message, "remove the link or restore what it leads to");
        }
        // too many links: one leads to another and back
        _ if error.raw_os_error() == Some(40) || error.raw_os_error() == Some(62) => cycle(walk, path),
        _ => walk.unreadable(path, error),
    }
}
