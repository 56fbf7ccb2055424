//! The DAGs of a git repository: which commit a reference names now, and the files of that commit in the cache.
//!
//! A commit is fetched once. One that is named by its id and is in the cache needs neither the repository nor its key.

use crate::config::{Environment, GitDags, Transport, nearest};
use crate::doors::aws::{self, Aws};
use crate::doors::fs;
use crate::doors::git_remote::{self, Access, Elsewhere, Refused, Remote, Seems};
use crate::fail::{Fail, Problem, Result};
use crate::model::git::{GitSource, is_commit};
use crate::model::names;
use crate::model::secret::Secret;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The servers that a private key may be used with, in the format of ssh. For all environments of the project.
pub const KNOWN_HOSTS: &str = "environments/known_hosts";
/// Older commits are removed from the cache: they are fetched again if they are needed.
const KEPT: usize = 5;
/// More names than these say nothing new.
const NAMES: usize = 8;

/// The files of a commit.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub source: GitSource,
    /// The root of the repository.
    pub root: PathBuf,
}

/// A repository that an environment names, and what is needed to ask it.
#[derive(Debug)]
pub struct Asked<'a> {
    project: &'a Path,
    environment: &'a Environment,
    git: &'a GitDags,
}

impl<'a> Asked<'a> {
    /// None if the DAGs of the environment are those of the project.
    #[must_use]
    pub fn of(project: &'a Path, environment: &'a Environment) -> Option<Self> {
        environment.dags.git.as_ref().map(|git| Self { project, environment, git })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.git.url
    }

    fn location(&self, key: &str) -> String {
        format!("environments/{}.toml `dags.git.{key}`", self.environment.name)
    }

    fn fail(&self, kind: &str, location: String, message: String, hint: String) -> Fail {
        Fail::problems(
            "cannot read the DAGs of a git repository",
            vec![Problem::new(kind, location, message, hint)],
        )
    }

    /// The commit that the reference names now, from the repository itself even if the commit is named by its id.
    ///
    /// # Errors
    /// The repository or its key cannot be read, or there is no such reference.
    pub async fn reached(&self, aws: &Aws) -> Result<String> {
        let remote = self.remote(aws).await?;
        if self.git.reference.commit().is_some() {
            remote.references(&["HEAD".to_owned()]).await?.map_err(|refused| self.refused(refused))?;
        }
        self.resolved(&remote).await
    }

    /// The files of the commit that the reference names now.
    ///
    /// # Errors
    /// As [`Asked::reached`]; the repository has no such folder.
    pub async fn checkout(&self, aws: &Aws) -> Result<Checkout> {
        let cache = self.project.join(".ductwork/cache/git");
        let pinned = self.git.reference.commit().map(str::to_owned);
        let (commit, remote) = match pinned {
            Some(commit) if fs::exists(&cache.join(&commit)) => (commit, None),
            Some(commit) => (commit, Some(self.remote(aws).await?)),
            None => {
                let remote = self.remote(aws).await?;
                (self.resolved(&remote).await?, Some(remote))
            }
        };
        let root = cache.join(&commit);
        if let Some(remote) = remote.filter(|_| !fs::exists(&root)) {
            let scratch = fs::scratch_dir(&cache)?;
            let fetched = remote.fetch(&commit, scratch.path()).await?;
            fetched.map_err(|refused| self.refused(refused))?;
            // Somebody else may have been faster, with the same files.
            if let Err(fail) = fs::rename(scratch.path(), &root)
                && !fs::exists(&root)
            {
                return Err(fail);
            }
            prune(&cache, &root);
        }
        let source = GitSource {
            url: self.git.url.to_string(),
            reference: self.git.reference.to_string(),
            path: self.git.path.to_string(),
            commit,
        };
        let checkout = Checkout { source, root };
        self.has_folder(&checkout)?;
        Ok(checkout)
    }

    fn has_folder(&self, checkout: &Checkout) -> Result<()> {
        if checkout.root.join(&checkout.source.path).is_dir() {
            return Ok(());
        }
        let GitSource { path, .. } = &checkout.source;
        let visible = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?.to_owned();
            (path.is_dir() && !name.starts_with('.')).then_some(name)
        };
        let mut folders: Vec<String> = fs::list(&checkout.root)?.iter().filter_map(visible).collect();
        folders.sort();
        folders.truncate(NAMES);
        let hint = match folders.as_slice() {
            [] => "write `path = \".\"` for the root of the repository, which has no folders".to_owned(),
            some => format!("write `path = \".\"` for its root, or one of its folders: {}", some.join(", ")),
        };
        let message = format!("{} has no folder `{path}`", checkout.source.shown());
        Err(self.fail("missing", self.location("path"), message, hint))
    }

    async fn resolved(&self, remote: &Remote) -> Result<String> {
        let reference = &*self.git.reference;
        if let Some(commit) = self.git.reference.commit() {
            return Ok(commit.to_owned());
        }
        let names = match reference.strip_prefix("refs/") {
            Some(_) => vec![reference.to_owned(), format!("{reference}^{{}}")],
            None => vec![
                format!("refs/heads/{reference}"),
                format!("refs/tags/{reference}"),
                format!("refs/tags/{reference}^{{}}"),
            ],
        };
        let found = remote.references(&names).await?.map_err(|refused| self.refused(refused))?;
        let is = |start: &str| found.iter().any(|(name, _)| name.starts_with(start));
        if !reference.starts_with("refs/") && is("refs/heads/") && is("refs/tags/") {
            let message = format!("`{reference}` is a branch and a tag");
            let hint = format!("write `refs/heads/{reference}` or `refs/tags/{reference}`");
            return Err(self.fail("ambiguous_ref", self.location("ref"), message, hint));
        }
        // What an annotated tag names comes after the tag.
        match found.into_iter().next_back() {
            Some((_, commit)) if is_commit(&commit) => Ok(commit),
            _ => Err(self.no_reference(remote).await?),
        }
    }

    async fn no_reference(&self, remote: &Remote) -> Result<Fail> {
        let reference = &*self.git.reference;
        let all = remote.references(&[]).await?.map_err(|refused| self.refused(refused))?;
        let short = |(name, _): &(String, String)| {
            let name = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))?;
            (!name.ends_with("^{}")).then(|| name.to_owned())
        };
        let mut known: Vec<String> = all.iter().filter_map(short).collect();
        let digits = reference.len() >= 7 && reference.bytes().all(|b| b.is_ascii_hexdigit());
        let hint = match nearest(reference, &known) {
            Some(near) => format!("write `{near}`, the nearest name"),
            None if digits => "write all 40 digits of a commit".to_owned(),
            None if known.is_empty() => "push a branch: the repository has none".to_owned(),
            None => {
                known.truncate(NAMES);
                format!("write one of its branches and tags, such as {}", known.join(", "))
            }
        };
        let message = format!("`{}` has no branch or tag `{reference}`", self.git.url);
        Ok(self.fail("unknown_ref", self.location("ref"), message, hint))
    }

    fn refused(&self, Refused { words, seems }: Refused) -> Fail {
        let (url, environment) = (&self.git.url, &self.environment.name);
        let set = format!("cargo xtask secret set {} --env {environment} < KEY_FILE", names::GIT_SECRET);
        let (key, kind, hint) = match (seems, &self.git.key) {
            (Seems::Unauthorised, Some(_)) => {
                ("key", "key_refused", format!("store a key that may read the repository: {set}"))
            }
            (Seems::Unauthorised, None) => (
                "url",
                "key_missing",
                format!(
                    "correct the address, or, if the repository is not public, store a key by `{set}` and add \
                     `key = \"{}\"`",
                    names::secret(environment, names::GIT_SECRET)
                ),
            ),
            (Seems::NoKey, _) => {
                ("key", "bad_key", format!("store a private key of OpenSSH that has no passphrase: {set}"))
            }
            (Seems::Unknown, _) => {
                return self.unknown_host(format!("the server is not a known host: {words}"));
            }
            (Seems::NoCommit, _) => {
                ("ref", "unknown_ref", "name a commit that the repository has".to_owned())
            }
            (Seems::Unreachable, _) => {
                ("url", "unreachable", format!("see whether git reaches it from here: git ls-remote {url}"))
            }
        };
        self.fail(kind, self.location(key), format!("git cannot read `{url}`: {words}"), hint)
    }

    fn unknown_host(&self, message: String) -> Fail {
        let (host, port) = self.git.url.host();
        let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
        let hint = format!(
            "add its key: ssh-keyscan {port}-t ed25519 {host} >> {KNOWN_HOSTS}; then compare it with what the owner \
             of the server has published, and commit the file"
        );
        self.fail("unknown_host", KNOWN_HOSTS.to_owned(), message, hint)
    }

    async fn remote(&self, aws: &Aws) -> Result<Remote> {
        let access = match &self.git.key {
            None => Access::Everybody,
            Some(key) => self.access(&self.stored(aws, key).await?)?,
        };
        Remote::new(&self.git.url, access)
    }

    async fn stored(&self, aws: &Aws, key: &str) -> Result<Secret> {
        let set =
            format!("store it: cargo xtask secret set {} --env {}", names::GIT_SECRET, self.environment.name);
        let own = names::secret(&self.environment.name, names::GIT_SECRET);
        let hint = if key == own {
            format!("{set} < KEY_FILE")
        } else {
            format!("store it under that name, or write `{own}` and {set} < KEY_FILE")
        };
        match aws.secrets.get_secret_value().secret_id(key).send().await {
            Ok(found) => match found.secret_string {
                Some(text) => Ok(Secret::new(text)),
                None => Err(self.bad_key(key, "is binary")),
            },
            Err(error) if aws::code(&error) == "ResourceNotFoundException" => {
                let message = format!("the secret `{key}` does not exist");
                Err(self.fail("missing_secret", self.location("key"), message, hint))
            }
            Err(error) => {
                Err(aws::failure("Secrets Manager", format!("cannot read the secret `{key}`"), error))
            }
        }
    }

    fn access(&self, secret: &Secret) -> Result<Access> {
        let key = self.git.key.as_deref().unwrap_or_default();
        if self.git.url.transport() == Transport::Ssh {
            if !secret.expose().contains("PRIVATE KEY-----") {
                return Err(self.bad_key(key, "does not hold a private key"));
            }
            let Some(known_hosts) = fs::read_if_there(&self.project.join(KNOWN_HOSTS))? else {
                let message = "there is no such file, so no server may be trusted with the key".to_owned();
                return Err(self.unknown_host(message));
            };
            return Ok(Access::Ssh { key: secret.clone(), known_hosts });
        }
        let (user, password) =
            login(secret).ok_or_else(|| self.bad_key(key, "does not hold a token or a login"))?;
        Ok(Access::Login { server: self.git.url.server().to_owned(), user, password })
    }

    fn bad_key(&self, key: &str, what: &str) -> Fail {
        let hint = format!(
            "store {}: cargo xtask secret set {} --env {} < KEY_FILE",
            match self.git.url.transport() {
                Transport::Ssh => "a private key of OpenSSH that has no passphrase",
                _ => r#"a token, or {"username": "…", "password": "…"}"#,
            },
            names::GIT_SECRET,
            self.environment.name
        );
        self.fail("bad_key", self.location("key"), format!("the secret `{key}` {what}"), hint)
    }
}

/// Keeps `current` and the latest others. Failing to tidy up is not an error.
fn prune(cache: &Path, current: &Path) {
    let mut others = fs::list(cache).unwrap_or_default();
    others.retain(|path| path != current);
    others.sort_by_key(|path| std::cmp::Reverse(path.metadata().and_then(|meta| meta.modified()).ok()));
    for path in others.iter().skip(KEPT - 1) {
        let _ = fs::remove(path);
    }
}

/// What a secret for `https` may hold beside a bare token.
#[derive(Deserialize)]
struct Stored {
    username: String,
    password: String,
}

/// User and password. GitHub takes a token with any user; the name is the one that it recommends.
fn login(secret: &Secret) -> Option<(String, Secret)> {
    let text = secret.expose().trim();
    let (user, password) = if text.starts_with('{') {
        let Stored { username, password } = serde_json::from_str(text).ok()?;
        (username, password)
    } else {
        ("x-access-token".to_owned(), text.to_owned())
    };
    let line = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    let bare = |text: &str| line(text) && !text.contains("PRIVATE KEY-----");
    (line(&user) && bare(&password)).then(|| (user, Secret::new(password)))
}

/// What of the folder is not in the checkout, as problems.
pub fn elsewhere(checkout: &Checkout) -> Result<Elsewhere> {
    git_remote::elsewhere(&checkout.root, &checkout.source.path)
}

#[cfg(test)]
#[path = "git_dags_tests.rs"]
mod tests;
