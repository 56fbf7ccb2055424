//! How people log in, how Airflow sends them mail, and which repository deploys.

use super::check::{at, at_unless, flag};
use crate::config::document::Written;
use crate::config::environment::{GitHub, Google, Login, Mail};
use crate::config::file;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{Address, Domain, GoogleClientId, LoginMethod, Repository, Role};
use std::collections::BTreeMap;

const MOST_ADMINS: usize = 50;
const STARTTLS_PORT: u16 = 587;
const TLS_PORT: u16 = 465;

pub fn login(written: &file::Login, problems: &mut Problems) -> Result<Login, Reported> {
    let method = problems.choice(&written.method, LoginMethod::parse, LoginMethod::Password);
    let client_id = problems.text(&written.google_client_id, GoogleClientId::parse);
    let domain = problems.text(&written.google_domain, google_domain);
    let default_role = problems.choice(&written.default_role, Role::parse, Role::known(Role::VIEWER));
    let service_role = problems.choice(&written.service_role, Role::parse, Role::known(Role::OP));
    let roles = roles(written, domain.as_ref().ok().and_then(Option::as_ref), problems);
    let google = match method? {
        LoginMethod::Password => {
            by_password(written, problems);
            None
        }
        LoginMethod::Google => Some(google(client_id, domain, problems)?),
    };
    Ok(Login { google, default_role: default_role?, service_role: service_role?, roles })
}

fn google_domain(text: &str) -> Result<Domain, Refusal> {
    let domain = Domain::parse(text)?;
    if domain.contains('.') {
        return Ok(domain);
    }
    Err(Refusal::new(format!("invalid Google domain: `{domain}`"), "use a domain like `example.com`"))
}

fn google(
    client_id: Result<Option<GoogleClientId>, Reported>,
    domain: Result<Option<Domain>, Reported>,
    problems: &mut Problems,
) -> Result<Google, Reported> {
    let client_id = problems.required(client_id, "login.google_client_id", || {
        "add `google_client_id = \"….apps.googleusercontent.com\"` under `[login]`, \
         from https://console.cloud.google.com/apis/credentials"
    });
    let domain = problems.required(
        domain,
        "login.google_domain",
        || "add `google_domain = \"example.com\"` under `[login]`: only accounts of this domain can log in",
    );
    Ok(Google { client_id: client_id?, domain: domain? })
}

/// Reports keys that have no effect on logins by password.
fn by_password(written: &file::Login, problems: &mut Problems) {
    let keys = [
        ("google_client_id", at(&written.google_client_id)),
        ("google_domain", at(&written.google_domain)),
        ("admins", at_unless(&written.admins, &Vec::new())),
        ("roles", written.roles.first().map(|(_, role)| &role.location)),
    ];
    problems.no_effect(&keys, "with passwords", "set `method = \"google\"`, or remove it");
}

/// Roles by address: each in the domain, and no address with two roles. Invalid ones are reported.
fn roles(written: &file::Login, domain: Option<&Domain>, problems: &mut Problems) -> BTreeMap<Address, Role> {
    let parse = |text: &str| {
        let address = Address::parse(text)?;
        match domain {
            Some(domain) if address.domain() != domain.as_str() => {
                let message = format!("`{address}` is not in `{domain}`, the only domain that can log in");
                Err(Refusal::new(message, "correct the address, or `google_domain`"))
            }
            _ => Ok(address),
        }
    };
    let admins = problems.texts(&written.admins, MOST_ADMINS, parse);
    let mut roles: BTreeMap<Address, Role> =
        admins.into_iter().map(|admin| (admin, Role::known(Role::ADMIN))).collect();
    for (address, Written { value, location }) in &written.roles {
        let address = problems.valid(location, parse(address));
        let role = problems.valid(location, Role::parse(value));
        if let (Ok(address), Ok(role)) = (address, role)
            && roles.insert(address.clone(), role).is_some()
        {
            let hint = "remove it here, or from `admins`";
            problems.conflict(location, format!("`{address}` has two roles"), hint);
        }
    }
    roles
}

pub fn mail(written: &file::Mail, problems: &mut Problems) -> Result<Option<Mail>, Reported> {
    let host = problems.text(&written.host, Domain::parse);
    let ssl = flag(&written.ssl, false);
    let starttls = flag(&written.starttls, !ssl);
    let port = problems.number(&written.port, 1..=65535, "");
    let from = problems.text(&written.from, Address::parse);
    if let (Some(location), true, true) = (at(&written.ssl), ssl, starttls) {
        let hint = "set `starttls = false` if the server expects TLS from the start, as on port 465";
        problems.conflict(location, "`ssl` and `starttls` cannot be used together", hint);
    }
    if written.host.is_none() {
        without_host(written, problems);
        return Ok(None);
    }
    let from = problems.required(
        from,
        "mail.from",
        || "add `from = \"airflow@example.com\"` under `[mail]`: the sender of all mail",
    );
    let port = port?.and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or(if ssl { TLS_PORT } else { STARTTLS_PORT });
    let from = from?;
    Ok(host?.map(|host| Mail { host, port, starttls, ssl, from }))
}

/// Reports keys that have no effect if Airflow sends no mail.
fn without_host(written: &file::Mail, problems: &mut Problems) {
    let keys = [
        ("from", at(&written.from)),
        ("port", at_unless(&written.port, &i64::from(STARTTLS_PORT))),
        ("starttls", at_unless(&written.starttls, &true)),
        ("ssl", at_unless(&written.ssl, &false)),
    ];
    let hint = "add `host`, the name of the mail server, or remove it";
    problems.no_effect(&keys, "without `host`", hint);
}

pub fn github(written: &file::GitHub, problems: &mut Problems) -> Result<GitHub, Reported> {
    let repository = problems.text(&written.repository, Repository::parse)?;
    let create_provider = repository.is_some() && flag(&written.create_provider, true);
    Ok(GitHub { repository, create_provider })
}
