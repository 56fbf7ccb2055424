//! Where DAGs come from that are in a git repository: its address, a branch, tag or commit of it, a folder in it, and the
//! secret that opens it.

use super::SecretArn;
use super::checked::checked_text;
use super::worker::inside;
use crate::config::problems::Refusal;
use crate::model::git;

checked_text! {
    /// The address of a git repository, without a password. No part of it can be taken for an option of git or ssh.
    GitUrl
}

checked_text! {
    /// A branch or tag, by its short or its whole name, or the whole id of a commit.
    GitRef
}

checked_text! {
    /// A folder in a repository, relative to its root, which is `.`.
    GitPath
}

checked_text! {
    /// The name or the ARN of a secret in Secrets Manager.
    GitKey
}

/// How a repository is reached, and so what its secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By a private key.
    Ssh,
    /// By a token or password.
    Https,
    /// The same unencrypted.
    Http,
    /// A folder of this machine.
    File,
}

/// What a part of an address may consist of beside letters and digits.
const HOST: &str = ".-";
const USER: &str = "._-";
const PATH: &str = "/._~+-";

fn plain(text: &str, more: &str) -> bool {
    let begins = !text.starts_with('-') && !text.is_empty();
    begins && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

impl GitUrl {
    /// What is refused is not repeated, since it may hold a password.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "use an address like `git@github.com:acme/dags.git` with a deploy key, or \
                    `https://github.com/acme/dags.git` with a token or for a public repository";
        let invalid =
            |why: &str| Err(Refusal::new(format!("invalid address of a git repository: {why}"), hint));
        let (transport, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Transport::Https, rest),
            Some(("http", rest)) => (Transport::Http, rest),
            Some(("ssh", rest)) => (Transport::Ssh, rest),
            Some(("file", path)) if path.starts_with('/') && plain(path, PATH) => {
                return Ok(Self(text.to_owned()));
            }
            Some(("file", _)) => {
                return invalid("`file://` needs an absolute path of letters, digits and `/._~+-`");
            }
            Some(_) => {
                return invalid("it must begin with `https://` or `ssh://`, or be like `git@HOST:PATH`");
            }
            // As `scp` writes it.
            None => (Transport::Ssh, text),
        };
        let (separator, missing) = match text.contains("://") {
            true => ('/', "it has no path"),
            false => (':', "it must begin with `https://` or `ssh://`, or be like `git@HOST:PATH`"),
        };
        let Some((authority, path)) = rest.split_once(separator) else { return invalid(missing) };
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if user.is_some_and(|user| transport != Transport::Ssh || user.contains(':')) {
            let message =
                "the address contains a user name or password, and secrets do not belong in this file";
            let hint = "remove everything up to the `@`, and store the token as a secret: \
                        cargo xtask secret set dags/git --env NAME";
            return Err(Refusal::new(message, hint));
        }
        let (host, port) = host.split_once(':').map_or((host, "1"), |(host, port)| (host, port));
        if !plain(host, HOST) || !user.is_none_or(|user| plain(user, USER)) {
            return invalid("it has no valid host name");
        }
        if !matches!(port.parse::<u16>(), Ok(1..)) {
            return invalid("the port must be between 1 and 65535");
        }
        if !plain(path, PATH) {
            return invalid("the path may only contain letters, digits and `/._~+-`");
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.0.split_once("://") {
            Some(("https", _)) => Transport::Https,
            Some(("http", _)) => Transport::Http,
            Some(("file", _)) => Transport::File,
            _ => Transport::Ssh,
        }
    }

    /// Scheme, host and port: whom a token is for.
    #[must_use]
    pub fn server(&self) -> &str {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let end = scheme.len() + "://".len() + rest.find('/').unwrap_or(rest.len());
        self.0.get(..end).unwrap_or(&self.0)
    }

    /// The host, and the port if the address names one: as `known_hosts` and `ssh-keyscan` tell servers apart.
    #[must_use]
    pub fn host(&self) -> (&str, Option<&str>) {
        let (rest, separator) =
            self.0.split_once("://").map_or((self.as_str(), ':'), |(_, rest)| (rest, '/'));
        let authority = rest.split(separator).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)))
    }

    /// Whether nobody on a network sees what is sent.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.transport() != Transport::Http || ["127.0.0.1", "localhost"].contains(&self.host().0)
    }
}

impl GitRef {
    /// What git accepts as a name (<https://git-scm.com/docs/git-check-ref-format>).
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        let part =
            |part: &str| part.is_empty() || part.starts_with('.') || part.to_lowercase().ends_with(".lock");
        let refused = text.is_empty()
            || text.len() > 255
            || text.starts_with('-')
            || text.ends_with('.')
            || text.contains("..")
            || text.contains("@{")
            || text == "@"
            || text.contains(bad)
            || text.split('/').any(part);
        if refused {
            let hint = "use a branch, a tag, or all 40 digits of a commit";
            return Err(Refusal::new(format!("not a name that git accepts: `{text}`"), hint));
        }
        Ok(Self(text.to_owned()))
    }

    /// The commit, if it is named by its id.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        git::is_commit(self).then_some(self.as_str())
    }
}

impl GitPath {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if matches!(text, "." | "./") {
            return Ok(Self(".".to_owned()));
        }
        let hint = "use the path of a folder in the repository, such as `dags`, or `.` for all of it";
        let refusal =
            |why: &str| Refusal::new(format!("{}: `{text}`", why.replace("project", "repository")), hint);
        inside(text).map(Self).map_err(refusal)
    }
}

impl GitKey {
    /// What is refused is not repeated, since it may be the key itself.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let name = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
        let is_name = (1..=512).contains(&text.len()) && text.chars().all(name) && text.contains('/');
        if is_name || SecretArn::parse(text).is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let hint = "store the key by `cargo xtask secret set dags/git --env NAME`, and write `ductwork/NAME/dags/git`";
        Err(Refusal::new(
            "expected the name of a secret, with a slash in it, or its ARN, and no key or token",
            hint,
        ))
    }

    /// Whether it is the secret that is named `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        // An ARN ends in a hyphen and six characters that Secrets Manager adds.
        let of_arn = |arn: &str| {
            arn.split_once(":secret:").and_then(|(_, rest)| rest.rsplit_once('-').map(|p| p.0 == name))
        };
        self.as_str() == name || of_arn(self) == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_git_without_passwords() {
        for (good, transport, host) in [
            ("git@github.com:acme/dags.git", Transport::Ssh, ("github.com", None)),
            ("github.com:acme/dags", Transport::Ssh, ("github.com", None)),
            ("ssh://git@git.example.com:2222/~ada/dags", Transport::Ssh, ("git.example.com", Some("2222"))),
            ("https://github.com/acme/dags.git", Transport::Https, ("github.com", None)),
            ("http://127.0.0.1:3000/dags", Transport::Http, ("127.0.0.1", Some("3000"))),
            ("file:///srv/dags", Transport::File, ("", None)),
        ] {
            let url = GitUrl::parse(good).unwrap();
            assert_eq!((url.transport(), url.host()), (transport, host), "{good}");
        }
        assert_eq!(GitUrl::parse("https://h:8443/a/b").unwrap().server(), "https://h:8443");
        for bad in [
            "",
            "dags",
            "/srv/dags",
            "../dags",
            "file://srv",
            "ext::sh -c id",
            "ssh://-oProxyCommand=id/x",
            "-oProxyCommand=id:x",
            "git@-x:y",
            "git@github.com:-x",
            "git@github.com:",
            "https://github.com",
            "https://github.com/a b",
            "https://github.com/a?token=x",
            "https://h:0/x",
            "git://github.com/acme/dags",
        ] {
            assert!(GitUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for bad in [
            "https://me:hunter2@h/x",
            "https://hunter2@h/x",
            "ssh://git:hunter2@h/x",
            "http://x:hunter2@127.0.0.1/x",
        ] {
            let refusal = GitUrl::parse(bad).unwrap_err();
            assert!(refusal.message.contains("password") && refusal.hint.contains("secret set dags/git"));
            assert!(!refusal.message.contains("hunter2") && !refusal.hint.contains("hunter2"), "{refusal:?}");
        }
        for bad in ["-----BEGIN OPENSSH PRIVATE KEY-----", "ghp_hunter2", "a b/c", ""] {
            let refusal = GitKey::parse(bad).unwrap_err();
            assert!(!refusal.message.contains("hunter2"), "{refusal:?}");
        }
    }

    #[test]
    fn a_secret_is_the_same_by_name_and_by_arn() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:ductwork/dev/dags/git-AbCdEf";
        for key in ["ductwork/dev/dags/git", arn] {
            assert!(GitKey::parse(key).unwrap().is("ductwork/dev/dags/git"), "{key}");
            assert!(!GitKey::parse(key).unwrap().is("ductwork/prod/dags/git"), "{key}");
        }
    }

    #[test]
    fn references_are_names_or_whole_commits() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(GitRef::parse(commit).unwrap().commit(), Some(commit));
        for name in ["main", "v1.2", "refs/heads/main", "feature/x", "0123456"] {
            assert_eq!(GitRef::parse(name).unwrap().commit(), None, "{name}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=id",
            "a..b",
            "a b",
            "a^",
            "a:b",
            "a//b",
            "/a",
            "a/",
            "a.lock",
            "@",
            "x@{1}",
        ] {
            assert!(GitRef::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_stay_in_the_repository() {
        for (good, path) in [("dags", "dags"), (".", "."), ("a/b/", "a/b"), ("./a", "a")] {
            assert_eq!(GitPath::parse(good).unwrap().as_str(), path);
        }
        for bad in ["", "..", "../x", "/x", "a/../.."] {
            assert!(GitPath::parse(bad).is_err(), "{bad}");
        }
    }
}
