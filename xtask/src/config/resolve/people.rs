//! How people log in, how Airflow writes to them, and from where they deploy.

use super::check::{at, at_unless, truth};
use crate::config::document::Written;
use crate::config::environment::{GitHub, Google, Login, Mail};
use crate::config::file;
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{Address, Domain, GoogleClientId, LoginMethod, Repository, Role};
use std::collections::BTreeMap;

const MOST_ADMINS: usize = 50;
const STARTTLS_PORT: u16 = 587;
const TLS_PORT: u16 = 465;

pub fn login(written: &file::Login, problems: &mut Problems) -> Option<Login> {
    let method = problems.choice(written.method.as_ref(), LoginMethod::parse, LoginMethod::Password);
    let client_id = problems.text(written.google_client_id.as_ref(), GoogleClientId::parse);
    let domain = problems.text(written.google_domain.as_ref(), |text| match Domain::parse(text)? {
        domain if domain.contains('.') => Ok(domain),
        domain => {
            Err(Wrong::new(format!("`{domain}` is no domain of Google's"), "write it like `example.com`"))
        }
    });
    let default_role = role(written.default_role.as_ref(), Role::VIEWER, problems);
    let service_role = role(written.service_role.as_ref(), Role::OP, problems);
    let roles = roles(written, domain.as_ref(), problems);
    match method? {
        LoginMethod::Password => {
            let keys = [
                ("google_client_id", at(written.google_client_id.as_ref())),
                ("google_domain", at(written.google_domain.as_ref())),
                ("admins", at_unless(written.admins.as_ref(), &Vec::new())),
                ("roles", written.roles.first().map(|(_, role)| &role.place)),
            ];
            let hint = "write `method = \"google\"`, or remove it";
            problems.idle(&keys, "on logins by password", hint);
            Some(Login { google: None, default_role, service_role, roles })
        }
        LoginMethod::Google => {
            if written.google_client_id.is_none() {
                let hint = "add `google_client_id = \"….apps.googleusercontent.com\"` below `[login]`, \
                            from https://console.cloud.google.com/apis/credentials";
                problems.missing("login.google_client_id", hint);
            }
            if written.google_domain.is_none() {
                let hint = "add `google_domain = \"example.com\"` below `[login]`: whose people get in";
                problems.missing("login.google_domain", hint);
            }
            let google = Some(Google { client_id: client_id?, domain: domain? });
            Some(Login { google, default_role, service_role, roles })
        }
    }
}

fn role(written: Option<&Written<String>>, default: &str, problems: &mut Problems) -> Role {
    problems.text(written, Role::parse).unwrap_or_else(|| Role::known(default))
}

/// Roles by address; each of the domain, and none told twice.
fn roles(written: &file::Login, domain: Option<&Domain>, problems: &mut Problems) -> BTreeMap<Address, Role> {
    let mut roles = BTreeMap::new();
    let parse = |text: &str| {
        let address = Address::parse(text)?;
        match domain {
            Some(domain) if address.domain() != domain.as_str() => {
                let message = format!("`{address}` is not of `{domain}`, and only its people get in");
                Err(Wrong::new(message, "correct the address, or `google_domain`"))
            }
            _ => Ok(address),
        }
    };
    for admin in problems.texts(written.admins.as_ref(), MOST_ADMINS, parse) {
        roles.insert(admin, Role::known(Role::ADMIN));
    }
    for (address, role) in &written.roles {
        let parsed = parse(address).map_err(|wrong| problems.invalid(&role.place, wrong)).ok();
        let (Some(address), Some(parsed)) = (parsed, problems.text(Some(role), Role::parse)) else {
            continue;
        };
        if roles.insert(address.clone(), parsed).is_some() {
            let message = format!("`{address}` has two roles");
            problems.conflict(&role.place, Wrong::new(message, "remove one: here, or among `admins`"));
        }
    }
    roles
}

pub fn mail(written: &file::Mail, problems: &mut Problems) -> Option<Mail> {
    let host = problems.text(written.host.as_ref(), Domain::parse);
    let port = problems.number(written.port.as_ref(), 1..=65535, "");
    let from = problems.text(written.from.as_ref(), Address::parse);
    let ssl = truth(written.ssl.as_ref(), false);
    let starttls = truth(written.starttls.as_ref(), !ssl);
    if let Some(written) = written.ssl.as_ref().filter(|_| ssl && starttls) {
        let message = "`ssl` and `starttls` exclude each other";
        let hint = "write `starttls = false` for a server that encrypts from the first byte, as at port 465";
        problems.conflict(&written.place, Wrong::new(message, hint));
    }
    if written.host.is_none() {
        let keys = [
            ("from", at(written.from.as_ref())),
            ("port", at_unless(written.port.as_ref(), &i64::from(STARTTLS_PORT))),
            ("starttls", at_unless(written.starttls.as_ref(), &true)),
            ("ssl", at_unless(written.ssl.as_ref(), &false)),
        ];
        problems.idle(&keys, "without a `host`", "add `host`, the name of the mail server, or remove it");
        return None;
    }
    if written.from.is_none() {
        problems
            .missing("mail.from", "add `from = \"airflow@example.com\"` below `[mail]`: who mails come from");
    }
    let port = port.and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or(if ssl { TLS_PORT } else { STARTTLS_PORT });
    Some(Mail { host: host?, port, starttls, ssl, from: from? })
}

pub fn github(written: &file::GitHub, problems: &mut Problems) -> GitHub {
    let repository = problems.text(written.repository.as_ref(), Repository::parse);
    let create_provider = repository.is_some() && truth(written.create_provider.as_ref(), true);
    GitHub { repository, create_provider }
}
