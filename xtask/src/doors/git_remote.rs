//! Git repositories of others: which commits their references name, and the files of one commit.
//!
//! Git gets nothing of the user's: no configuration, no agent, no stored login, no terminal to ask at, no hooks, no
//! filters. A key reaches it by files in a folder that only this user may read and that goes with the [`Remote`].

use super::{env, fs, proc};
use crate::fail::{Fail, Result};
use crate::model::secret::Secret;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// How long a server may take to list its references, and to send the files of a commit.
const LIST: Duration = Duration::from_secs(60);
const FETCH: Duration = Duration::from_secs(600);

/// What opens a repository.
#[derive(Clone, Debug)]
pub enum Access {
    Everybody,
    /// A private key, and the lines of `known_hosts` that say which server may have its signature.
    Ssh {
        key: Secret,
        known_hosts: Vec<u8>,
    },
    /// A login that is sent to this server alone, wherever that redirects to.
    Login {
        server: String,
        user: String,
        password: Secret,
    },
}

/// A repository that can be asked.
#[derive(Debug)]
pub struct Remote {
    url: String,
    access: Access,
    private: tempfile::TempDir,
}

/// Git could not do it, in its own words without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub words: String,
    pub seems: Seems,
}

/// What the words seem to mean. Only a hint is chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seems {
    /// The server does not let this key or login in, or asks for one.
    Unauthorised,
    /// The server is not one of the known hosts.
    Unknown,
    /// The secret does not hold a private key that ssh can read.
    NoKey,
    /// The repository does not have the commit.
    NoCommit,
    /// The server was not reached, or anything else.
    Unreachable,
}

impl Seems {
    fn of(words: &str) -> Self {
        let says = |of: &[&str]| of.iter().any(|one| words.contains(one));
        if says(&["Host key verification failed", "host key is known"]) {
            Self::Unknown
        } else if says(&["error in libcrypto", "invalid format", "incorrect passphrase"]) {
            Self::NoKey
        } else if says(&["not our ref", "couldn't find remote ref"]) {
            Self::NoCommit
        } else if says(&[
            "Permission denied",
            "Authentication failed",
            "could not read Username",
            "epository not found",
            "error: 401",
            "error: 403",
            "access denied",
        ]) {
            Self::Unauthorised
        } else {
            Self::Unreachable
        }
    }
}

impl Remote {
    /// Nothing is asked yet.
    pub fn new(url: &str, access: Access) -> Result<Self> {
        let permissions = std::fs::Permissions::from_mode(0o700);
        let private = tempfile::Builder::new().permissions(permissions).tempdir();
        let private = private
            .map_err(|error| Fail::failed("cannot create a temporary folder for git").because(error))?;
        let remote = Self { url: url.to_owned(), access, private };
        match &remote.access {
            Access::Everybody => {}
            Access::Ssh { key, known_hosts } => {
                // ssh takes no key without a line break at its end.
                let key = format!("{}\n", key.expose().replace('\r', "").trim_end());
                remote.keep("key", key.as_bytes())?;
                remote.keep("known_hosts", known_hosts)?;
                remote.keep("config", remote.ssh_config().as_bytes())?;
            }
            Access::Login { user, password, .. } => {
                let login = format!("username={user}\npassword={}\n", password.expose());
                remote.keep("login", login.as_bytes())?;
            }
        }
        Ok(remote)
    }

    /// A file that only this user may read, from the first byte on.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.private.path().join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes));
        written.map_err(|error| fs::unwritable(&path, error))
    }

    /// <https://man.openbsd.org/ssh_config>
    fn ssh_config(&self) -> String {
        let file = |name: &str| {
            let path = self.private.path().join(name).display().to_string();
            format!("\"{}\"", path.replace('%', "%%"))
        };
        format!(
            "Host *\n  IdentityFile {}\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
             IdentitiesOnly yes\n  IdentityAgent none\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  \
             BatchMode yes\n  PasswordAuthentication no\n  KbdInteractiveAuthentication no\n  \
             ForwardAgent no\n  ConnectTimeout 20\n  ServerAliveInterval 15\n",
            file("key"),
            file("known_hosts")
        )
    }

    fn git(&self, folder: &Path) -> Result<proc::Cmd> {
        let private = self.private.path();
        let mut settings = settings();
        let mut git = program(folder)?.env("HOME", private).env("GIT_ALLOW_PROTOCOL", "file:http:https:ssh");
        match &self.access {
            Access::Everybody => {}
            Access::Ssh { .. } => {
                let config = private.join("config").display().to_string();
                let quoted = config.replace('\'', r"'\''");
                git = git.env("GIT_SSH_COMMAND", format!("ssh -F '{quoted}'")).env("GIT_SSH_VARIANT", "ssh");
            }
            Access::Login { server, .. } => {
                let helper = r#"!f() { test "$1" = get && cat "$DUCTWORK_GIT_LOGIN"; }; f"#;
                settings.push((format!("credential.{server}.helper"), helper.to_owned()));
                git = git.env("DUCTWORK_GIT_LOGIN", private.join("login"));
            }
        }
        Ok(configured(git, &settings))
    }

    /// The commits of the references that are named so in full; without names those of all branches and tags. What an
    /// annotated tag names has `^{}` behind it.
    pub async fn references(&self, names: &[String]) -> Result<Result<Vec<(String, String)>, Refused>> {
        let mut git = self.git(self.private.path())?.args(["ls-remote", "--quiet"]);
        if names.is_empty() {
            git = git.args(["--heads", "--tags"]);
        }
        let output = within(LIST, git.arg("--").arg(&self.url).args(names)).await?;
        Ok(self.judged(output).map(|text| {
            let lines = text.lines().filter_map(|line| line.split_once('\t'));
            lines
                .filter(|(_, name)| names.is_empty() || names.iter().any(|wanted| wanted == name))
                .map(|(commit, name)| (name.to_owned(), commit.to_owned()))
                .collect()
        }))
    }

    /// The files of a commit in an empty folder, with nothing of its history.
    pub async fn fetch(&self, commit: &str, folder: &Path) -> Result<Result<(), Refused>> {
        let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let steps = [
            self.git(folder)?.args(["init", "--quiet", "--template=", format]),
            self.git(folder)?
                .args(["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"])
                .args(["--no-write-fetch-head", "--", &self.url, commit]),
            self.git(folder)?.args(["checkout", "--quiet", "--detach", commit]),
        ];
        for step in steps {
            if let Err(refused) = self.judged(within(FETCH, step).await?) {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(()))
    }

    /// What it printed; or the last lines of what it complained about.
    fn judged(&self, output: Option<Output>) -> Result<String, Refused> {
        let Some(output) = output else {
            let words = "the server did not answer in time".to_owned();
            return Err(Refused { words, seems: Seems::Unreachable });
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = self.redacted(&String::from_utf8_lossy(&output.stderr));
        let seems = Seems::of(&text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.len().saturating_sub(LINES);
        Err(Refused { words: lines[last..].join("; "), seems })
    }

    fn redacted(&self, text: &str) -> String {
        let secret = match &self.access {
            Access::Everybody => return text.to_owned(),
            Access::Ssh { key, .. } => key,
            Access::Login { password, .. } => password,
        };
        let parts = secret.expose().lines().map(str::trim).filter(|line| !line.is_empty());
        parts.fold(text.to_owned(), |text, part| text.replace(part, "…"))
    }
}

/// More lines than these of git's words say nothing new.
const LINES: usize = 4;

/// Git with nothing of the user's but what reaches a network: proxies and certificates.
fn program(folder: &Path) -> Result<proc::Cmd> {
    let git = proc::find("git").ok_or_else(|| {
        Fail::usage("`git` is not installed, and `dags.git` needs it")
            .hint("install git, then run the same command again")
    })?;
    let reaching = env::for_installers().into_iter().filter(|(name, _)| name != "HOME");
    let git = proc::Cmd::new(git, folder)
        .envs(reaching)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    Ok(match env::certificates() {
        Some(file) => git.env("GIT_SSL_CAINFO", file),
        None => git,
    })
}

fn settings() -> Vec<(String, String)> {
    let settings = [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("core.autocrlf", "false"),
        ("core.symlinks", "true"),
        ("credential.helper", ""),
        ("protocol.version", "2"),
        ("http.lowSpeedLimit", "1000"),
        ("http.lowSpeedTime", "60"),
        ("submodule.recurse", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Settings by environment variables (<https://git-scm.com/docs/git-config>), so that they are not arguments.
fn configured(git: proc::Cmd, settings: &[(String, String)]) -> proc::Cmd {
    let git = git.env("GIT_CONFIG_COUNT", settings.len().to_string());
    settings.iter().enumerate().fold(git, |git, (number, (name, value))| {
        git.env(format!("GIT_CONFIG_KEY_{number}"), name).env(format!("GIT_CONFIG_VALUE_{number}"), value)
    })
}

/// None if it took too long and was ended.
async fn within(limit: Duration, git: proc::Cmd) -> Result<Option<Output>> {
    match tokio::time::timeout(limit, git.tokio().output()).await {
        Ok(Ok(output)) => Ok(Some(output)),
        Ok(Err(error)) => Err(Fail::failed("cannot run `git`").because(error)),
        Err(_) => Ok(None),
    }
}

/// What of a checkout is not in its files: submodules, and what Git LFS keeps elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    pub submodules: Vec<String>,
    pub lfs: Vec<String>,
}

/// Looks at a folder of a checkout, `.` for all of it.
pub fn elsewhere(checkout: &Path, path: &str) -> Result<Elsewhere> {
    let list = |args: &[&str]| -> Result<Vec<String>> {
        let git = configured(program(checkout)?.env("HOME", checkout), &settings());
        let text = git.args(["ls-files", "-z"]).args(args).run()?;
        Ok(text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    };
    let staged = list(&["--stage", "--", path])?;
    let submodules = staged.iter().filter(|line| line.starts_with("160000 "));
    Ok(Elsewhere {
        submodules: submodules.filter_map(|line| Some(line.split_once('\t')?.1.to_owned())).collect(),
        lfs: list(&["--", &format!(":(attr:filter=lfs){path}")])?,
    })
}

#[cfg(test)]
#[path = "git_remote_tests.rs"]
mod tests;
