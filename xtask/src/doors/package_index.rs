//! How installers reach the package index that the project names, and what it says when they fail.
//!
//! Installers get the login in their environment only: uv beside the URL, pip, which knows no other way, in it.

use super::{env, fs, http};
use crate::fail::{Fail, Kind, Result};
use crate::model::names;
use crate::model::package_index::{LOGIN, PackageIndex, REQUIREMENTS};
use crate::model::secret::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::path::Path;
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;

/// How long the index may take to answer once an installation has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who may read the index.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: Secret,
    /// Where it comes from, for messages.
    pub origin: String,
}

/// The index of the project, if it names one, and the login there, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Index {
    named: Option<PackageIndex>,
    login: Option<Login>,
    /// Why the login of the environment could not be read.
    unread: Option<String>,
}

/// What `airflow/requirements.in` names.
///
/// # Errors
/// What is wrong with its URLs, all together.
pub fn named(root: &Path) -> Result<Option<PackageIndex>> {
    let text = fs::read_if_there(&root.join(REQUIREMENTS))?.unwrap_or_default();
    PackageIndex::of(&String::from_utf8_lossy(&text))
        .map_err(|problems| Fail::problems(format!("`{REQUIREMENTS}` names no index of use"), problems))
}

impl Index {
    /// That of the project, with the login that the environment of this process gives.
    pub fn of(root: &Path) -> Result<Self> {
        let login = env::index_login().map(|(user, password)| Login {
            user,
            password,
            origin: format!("{} and {}", LOGIN[0], LOGIN[1]),
        });
        Ok(Self { named: named(root)?, login, unread: None })
    }

    /// Whether there is an index, and nobody has said yet who may read it.
    #[must_use]
    pub fn wants_login(&self) -> bool {
        self.named.is_some() && self.login.is_none()
    }

    /// With what the secret of the environment holds. That it cannot be read matters only if the index asks for a login.
    #[must_use]
    pub fn with(mut self, stored: Result<Option<Login>>) -> Self {
        match stored {
            Ok(login) => self.login = login,
            Err(fail) => self.unread = Some(format!("{}: {}", fail.message(), fail.causes().join(": "))),
        }
        self
    }

    /// The environment of uv. The index has a name there, by which uv finds the login.
    #[must_use]
    pub fn for_uv(&self) -> Vec<(String, String)> {
        let mut all = env::for_installers();
        let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
        if let Some(index) = &self.named {
            let named = format!("ductwork={}", index.url);
            match (index.only, env::uv_index()) {
                (true, _) => set("UV_DEFAULT_INDEX", named),
                (false, Some(others)) => set("UV_INDEX", format!("{named} {others}")),
                (false, None) => set("UV_INDEX", named),
            }
            if let Some(login) = &self.login {
                set("UV_INDEX_DUCTWORK_USERNAME", login.user.clone());
                set("UV_INDEX_DUCTWORK_PASSWORD", login.password.expose().to_owned());
            }
        }
        all
    }

    /// The environment of pip, which installs nothing but uv: from PyPI, or from what stands in its place.
    #[must_use]
    pub fn for_pip(&self) -> Vec<(String, String)> {
        let mut all = env::for_installers();
        if let Some(index) = self.named.as_ref().filter(|index| index.only) {
            let url = match (&self.login, index.url.split_once("://")) {
                (Some(login), Some((scheme, rest))) => {
                    let (user, password) =
                        (http::escaped(&login.user), http::escaped(login.password.expose()));
                    format!("{scheme}://{user}:{password}@{rest}")
                }
                _ => index.url.clone(),
            };
            all.push(("PIP_INDEX_URL".to_owned(), url));
        }
        // It would ask the terminal for a login that is missing.
        all.push(("PIP_NO_INPUT".to_owned(), "1".to_owned()));
        all
    }

    /// Why an installer has failed. What it says of that is words: the index itself is asked.
    #[must_use]
    pub fn explained(&self, fail: Fail) -> Fail {
        let fail = fail.with_kind(Kind::Usage);
        let Some(index) = &self.named else {
            return fail.hint(
                "if the package index cannot be reached, connect to the network, or name a proxy or mirror in \
                 HTTPS_PROXY, PIP_INDEX_URL and UV_INDEX_URL",
            );
        };
        match self.status(&index.url) {
            Err(error) => unreachable(fail, index, &error),
            Ok(401 | 403) => self.not_let_in(fail, index),
            Ok(status @ 500..) => fail
                .context(format!("the package index `{}` answers with status {status}", index.url))
                .hint("try again later, or ask who runs it"),
            Ok(_) => fail.hint(format!(
                "the package index `{}` answers: if a package is not on it, publish it there, or correct its line in {REQUIREMENTS}",
                index.url
            )),
        }
    }

    fn status(&self, url: &str) -> Result<u16, ureq::Error> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost);
        let mut request = ureq::Agent::from(agent.build()).get(url);
        if let Some(login) = &self.login {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", login.user, login.password.expose()));
            request = request.header("Authorization", format!("Basic {pair}"));
        }
        request.call().map(|answer| answer.status().as_u16())
    }

    fn not_let_in(&self, fail: Fail, index: &PackageIndex) -> Fail {
        let url = &index.url;
        let message = match (&self.login, &self.unread) {
            (Some(Login { user, origin, .. }), _) => {
                format!("the package index `{url}` refuses the login of `{user}`, which is from {origin}")
            }
            (None, None) => format!("the package index `{url}` wants a login, and there is none"),
            (None, Some(why)) => format!("the package index `{url}` wants a login, and there is none: {why}"),
        };
        fail.context(message)
            .hint(format!("give the login by {} and {}", LOGIN[0], LOGIN[1]))
            .hint(format!(
                r#"or store it for an environment, as {{"username": "…", "password": "…"}}: cargo xtask secret set {} --env NAME"#,
                names::INDEX_SECRET
            ))
    }
}

fn unreachable(fail: Fail, index: &PackageIndex, error: &ureq::Error) -> Fail {
    fail.context(format!("the package index `{}` does not answer: {error}", index.url))
        .hint(format!(
            "connect to its network, name a proxy in HTTPS_PROXY, or correct its URL in {REQUIREMENTS}"
        ))
        .hint("if its certificate is not known here, name a file with the right ones in SSL_CERT_FILE")
}
