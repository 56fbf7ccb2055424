//! The package index of the project: a line of `airflow/requirements.in`, as pip and uv read it.

use crate::fail::Problem;
use std::fmt;

/// The only file that names one: what is locked, installed here, put into images and installed on hosts is the same.
pub const REQUIREMENTS: &str = "airflow/requirements.in";
/// What gives the login, for messages.
pub const LOGIN: [&str; 2] = ["DUCTWORK_INDEX_USERNAME", "DUCTWORK_INDEX_PASSWORD"];

const ONLY: &str = "--index-url";
const EXTRA: &str = "--extra-index-url";
/// Every way to write either, the short one last.
const OPTIONS: [&str; 3] = [ONLY, EXTRA, "-i"];
/// The limit of the template parameter `PackageIndex`.
const LONGEST: usize = 500;

/// Where packages come from that are not on PyPI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageIndex {
    pub url: String,
    /// In place of PyPI, and not before it.
    pub only: bool,
}

/// As in the file, and as hosts are told.
impl fmt::Display for PackageIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.only { ONLY } else { EXTRA }, self.url)
    }
}

impl PackageIndex {
    /// The index that the text of `airflow/requirements.in` names, if it names one.
    ///
    /// # Errors
    /// Everything that is wrong with the URLs of the file.
    pub fn of(text: &str) -> Result<Option<Self>, Vec<Problem>> {
        let mut problems = credentials(text, REQUIREMENTS);
        let mut found: Option<Self> = None;
        for (place, index) in indexes(text, REQUIREMENTS) {
            let refused = index.refused().or_else(|| found.is_some().then_some(SECOND));
            match refused {
                Some((message, hint)) => problems.push(Problem::new("package_index", place, message, hint)),
                None => found = Some(index),
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    /// A credential in it is told by [`credentials`].
    fn refused(&self) -> Option<(&'static str, &'static str)> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if userinfo(scheme, rest).is_some() {
            return None;
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~:/%+=,-".contains(&b);
        if !["http", "https"].contains(&scheme) || host.is_empty() || !rest.bytes().all(allowed) {
            return Some((
                "the URL of the package index is invalid",
                "write it as in `--extra-index-url https://packages.example.com/simple/`, without variables",
            ));
        }
        if self.url.len() > LONGEST {
            return Some(("the URL of the package index is too long", "use one of up to 500 characters"));
        }
        (scheme == "http" && !is_this_machine(host)).then_some((
            "the package index is not encrypted: everybody on the way could read the login",
            "use an index with https",
        ))
    }
}

const SECOND: (&str, &str) = (
    "a second package index",
    "name one: `--index-url` in place of PyPI, or `--extra-index-url` before it; most can pass others on",
);

/// What is wrong with another file of requirements.
#[must_use]
pub fn problems_elsewhere(text: &str, file: &str) -> Vec<Problem> {
    let mut problems = credentials(text, file);
    problems.extend(indexes(text, file).map(|(place, _)| {
        let message = "the package index is named in another file than the project's";
        let hint = format!("move the line to `{REQUIREMENTS}`: it counts for all locks");
        Problem::new("package_index", place, message, hint)
    }));
    problems
}

/// The lines that name an index, with their places.
fn indexes<'a>(text: &'a str, file: &'a str) -> impl Iterator<Item = (String, PackageIndex)> + 'a {
    numbered(text).filter_map(move |(number, line)| {
        let (option, rest) = OPTIONS.iter().find_map(|option| {
            let rest = line.strip_prefix(option)?;
            rest.starts_with(['=', ' ', '\t']).then_some((*option, rest))
        })?;
        let url = rest.trim_start_matches(['=', ' ', '\t']).to_owned();
        Some((format!("{file}:{number}"), PackageIndex { url, only: option != EXTRA }))
    })
}

/// URLs with a password or token in them, which would get into locks and git. They are not repeated.
fn credentials(text: &str, file: &str) -> Vec<Problem> {
    let [user, password] = LOGIN;
    let has = |line: &str| {
        line.match_indices("://").any(|(at, mark)| {
            let scheme = line[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next();
            userinfo(scheme.unwrap_or_default(), &line[at + mark.len()..]).is_some()
        })
    };
    let told = numbered(text).filter(|(_, line)| has(line)).map(|(number, _)| {
        let hint = format!(
            "remove it from the URL, and give it by {user} and {password}, or store it for an environment: \
             cargo xtask secret set packages/index --env NAME; change it if it has been committed"
        );
        Problem::new("credential_in_url", format!("{file}:{number}"), "a URL contains a credential", hint)
    });
    told.collect()
}

/// What stands before the host, where it is a secret: the user of ssh is none.
fn userinfo<'a>(scheme: &str, rest: &'a str) -> Option<&'a str> {
    let authority = rest.split(['/', '?', '#', ' ', '\t']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    (user.contains(':') || !scheme.ends_with("ssh")).then_some(user)
}

/// The lines with their numbers, without comments; a comment begins the line or follows a blank.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line).trim()))
}

fn without_comment(line: &str) -> &str {
    let start = line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '\t']));
    start.map_or(line, |(at, _)| &line[..at])
}

fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["127.0.0.1", "localhost"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let problems = PackageIndex::of(text).err().unwrap_or_default();
        problems.into_iter().map(|one| format!("{} {}", one.location, one.message)).collect()
    }

    #[test]
    fn an_index_is_read_as_pip_writes_it() {
        let of = |text: &str| PackageIndex::of(text).unwrap().map(|index| index.to_string());
        assert_eq!(of("# --index-url https://a.example/simple\nclick\n"), None);
        for (text, is) in [
            (
                "--extra-index-url https://a.example/simple/  # ours",
                "--extra-index-url https://a.example/simple/",
            ),
            ("click\n  --extra-index-url=https://a.example/s", "--extra-index-url https://a.example/s"),
            ("-i https://a.example:8443/s", "--index-url https://a.example:8443/s"),
            ("--index-url http://127.0.0.1:9/s", "--index-url http://127.0.0.1:9/s"),
        ] {
            assert_eq!(of(text).as_deref(), Some(is), "{text}");
        }
    }

    #[test]
    fn a_credential_is_refused_wherever_it_is_and_not_repeated() {
        for line in [
            "--index-url https://me:hunter2@a.example/simple",
            "--extra-index-url https://hunter2@a.example/simple",
            "--extra-index-url=https://me:hunter2@127.0.0.1/simple",
            "acme @ https://me:hunter2@a.example/acme.whl",
            "acme @ git+https://hunter2@a.example/acme.git@v1",
            "acme @ git+ssh://git:hunter2@a.example/acme.git",
            "--find-links https://:hunter2@a.example/",
        ] {
            let problems = PackageIndex::of(&format!("click\n{line}\n")).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].location, "airflow/requirements.in:2");
            assert!(problems[0].hint.contains("packages/index"), "{problems:?}");
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
            assert_eq!(problems_elsewhere(line, "dev/x.in")[0].kind, "credential_in_url");
        }
        for good in ["acme @ git+https://a.example/acme.git@v1", "acme @ git+ssh://git@a.example/acme.git@v1"]
        {
            assert_eq!(PackageIndex::of(good).unwrap(), None, "{good}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_together() {
        let text = "--index-url http://a.example/simple\n--extra-index-url packages\n-i https://${HOST}/s\n\
                    --extra-index-url https://a.example/1\n--extra-index-url https://a.example/2\n";
        assert_eq!(
            told(text),
            [
                "airflow/requirements.in:1 the package index is not encrypted: everybody on the way could read the login",
                "airflow/requirements.in:2 the URL of the package index is invalid",
                "airflow/requirements.in:3 the URL of the package index is invalid",
                "airflow/requirements.in:5 a second package index",
            ]
        );
        let long = format!("--index-url https://a.example/{}", "a".repeat(LONGEST));
        assert_eq!(told(&long), ["airflow/requirements.in:1 the URL of the package index is too long"]);
    }

    #[test]
    fn only_one_file_names_an_index() {
        let problems = problems_elsewhere("x\n--index-url https://a.example/simple\n", "dev/requirements.in");
        assert_eq!(problems[0].location, "dev/requirements.in:2");
        assert!(problems_elsewhere("x==1 --hash=sha256:00\n", "dev/requirements.in").is_empty());
    }
}
