//! Git: which commit the tree stands at. Git is never required.

use crate::model::commit::{Commit, Tree};
use std::path::Path;
use xshell::{Shell, cmd};

/// The commit of the tree, and what of `paths` differs from it; none outside a git checkout.
#[must_use]
pub fn tree(root: &Path, paths: &[String]) -> Option<Tree> {
    let shell = Shell::new().ok()?;
    shell.change_dir(root);
    let format = "%H%n%aN <%aE>";
    let head = cmd!(shell, "git log -1 --format={format}").quiet().ignore_stderr().read().ok()?;
    // By their names from here, which only the short form tells. What git ignores is no part of a release.
    let options =
        ["-c", "status.relativePaths=true", "-c", "core.quotePath=false", "-c", "color.status=false"];
    let status =
        cmd!(shell, "git {options...} status --short --untracked-files=all --no-renames -- {paths...}");
    let status = status.quiet().ignore_stderr().output().ok().filter(|output| output.status.success())?;
    let status = String::from_utf8_lossy(&status.stdout);
    let changed: Vec<String> =
        status.lines().filter_map(|line| Some(line.get(3..)?.trim_matches('"').to_owned())).collect();
    let (id, author) = head.split_once('\n')?;
    let commit = Commit { id: id.to_owned(), author: Some(author.to_owned()), dirty: !changed.is_empty() };
    Some(Tree { commit, changed })
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
    use super::*;
    use crate::doors::fs;

    fn run(root: &Path, args: &[&str]) {
        let shell = Shell::new().unwrap();
        shell.change_dir(root);
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        cmd!(shell, "git {who...} {args...}").quiet().ignore_stdout().ignore_stderr().run().unwrap();
    }

    #[test]
    fn only_files_of_the_release_make_it_dirty() {
        let repository = tempfile::tempdir().unwrap();
        // A project need not be at the root of its repository.
        let root = repository.path().join("data");
        let write = |name: &str, text: &str| fs::write(&root.join(name), text.as_bytes()).unwrap();
        let paths = ["dags", "airflow", ":(exclude)airflow/tests"].map(str::to_owned);
        write("dags/a.py", "1");
        write("README.md", "1");
        write(".gitignore", "*.pyc\n");
        assert_eq!(tree(&root, &paths), None);
        run(repository.path(), &["init", "--quiet"]);
        run(repository.path(), &["add", "--all"]);
        run(repository.path(), &["commit", "--quiet", "-m", "m"]);
        write("README.md", "2");
        write("airflow/tests/test_a.py", "1");
        write("dags/a.pyc", "1");
        let clean = tree(&root, &paths).unwrap();
        assert_eq!((clean.changed, clean.commit.dirty), (Vec::new(), false));
        assert_eq!(clean.commit.author.as_deref(), Some("Ada <ada@example.com>"));
        assert_eq!(clean.commit.id.len(), 40);
        write("dags/a.py", "2");
        write("dags/größer.py", "1");
        let dirty = tree(&root, &paths).unwrap();
        assert_eq!(dirty.changed, ["dags/a.py", "dags/größer.py"]);
        assert!(dirty.commit.dirty);
    }

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
