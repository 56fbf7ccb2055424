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

/// The tags at a commit of this clone; none if it does not know the commit.
#[must_use]
pub fn tags(root: &Path, commit: &str) -> Vec<String> {
    let Ok(shell) = Shell::new() else { return Vec::new() };
    shell.change_dir(root);
    let tags = cmd!(shell, "git tag --points-at {commit}").quiet().ignore_stderr().read();
    tags.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A change of some files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of the last commit that touched them; `-dirty` behind it where they have changed since.
    pub commit: String,
    /// Seconds since 1970.
    pub time: i64,
}

/// The last change of `paths`; none outside a git checkout.
#[must_use]
pub fn last_change(root: &Path, paths: &[&str]) -> Option<Change> {
    let shell = Shell::new().ok()?;
    shell.change_dir(root);
    let log = cmd!(shell, "git log -1 --format=%H/%ct -- {paths...}").quiet().ignore_stderr().read().ok()?;
    let (commit, seconds) = log.split_once('/')?;
    let status = cmd!(shell, "git status --porcelain -- {paths...}").quiet().ignore_stderr().read().ok()?;
    let commit = if status.is_empty() { commit.to_owned() } else { format!("{commit}-dirty") };
    Some(Change { commit, time: seconds.parse().ok()? })
}

/// Where the repository comes from, as an address of the web without a user or password in it; none if it has no
/// `origin`.
#[must_use]
pub fn origin(root: &Path) -> Option<String> {
    let shell = Shell::new().ok()?;
    shell.change_dir(root);
    let url = cmd!(shell, "git config --get remote.origin.url").quiet().ignore_stderr().read().ok()?;
    web_address(url.trim())
}

fn web_address(url: &str) -> Option<String> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) => {
            matches!(scheme, "https" | "http" | "ssh" | "git").then(|| rest.to_owned())?
        }
        // As `scp` writes it.
        None => {
            let (host, path) = url.split_once(':')?;
            format!("{host}/{path}")
        }
    };
    let (host, path) = rest.split_once('/')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    (!host.is_empty() && !path.is_empty())
        .then(|| format!("https://{host}/{}", path.trim_end_matches(".git")))
}

#[cfg(test)]
mod tests {
    use super::web_address;

    #[test]
    fn every_way_to_clone_is_the_same_address_without_a_password() {
        for url in [
            "https://github.com/acme/data.git",
            "https://someone:secret@github.com/acme/data",
            "git@github.com:acme/data.git",
            "ssh://git@github.com/acme/data.git",
        ] {
            assert_eq!(web_address(url).as_deref(), Some("https://github.com/acme/data"), "{url}");
        }
        for url in ["/srv/data.git", "../data", "file:///srv/data.git", ""] {
            assert_eq!(web_address(url), None, "{url}");
        }
    }
}
