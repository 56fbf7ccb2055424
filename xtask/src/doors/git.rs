//! Git: which commit the tree stands at. Git is never required.

use std::path::Path;
use xshell::{Shell, cmd};

/// The commit of the tree, `-dirty` behind it where it has changes; none outside a git checkout.
#[must_use]
pub fn commit(root: &Path) -> Option<String> {
    let shell = Shell::new().ok()?;
    shell.change_dir(root);
    let commit = cmd!(shell, "git rev-parse HEAD").quiet().ignore_stderr().read().ok()?;
    let status =
        cmd!(shell, "git status --porcelain --untracked-files=no").quiet().ignore_stderr().read().ok()?;
    Some(if status.is_empty() { commit } else { format!("{commit}-dirty") })
}
