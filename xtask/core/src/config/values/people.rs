//! The people who use an environment: email addresses, domains, roles, and the repository they work in.

use super::checked::checked_text;
use crate::config::problems::Refusal;
use crate::config::words::nearest;

checked_text! {
    /// An email address in lower case, since logins are compared without case.
    Address
}

checked_text! {
    /// A DNS name in lower case.
    Domain
}

checked_text! {
    /// A role in Airflow: a built-in one, or one that the user created.
    Role
}

checked_text! {
    /// A GitHub repository: `owner/name`.
    Repository
}

checked_text! {
    /// An OAuth client ID from the Google Cloud console.
    GoogleClientId
}

impl Address {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".!#$&'*+/=?^_`{|}~-".contains(c);
        match text.split_once('@') {
            Some((name, domain))
                if (1..=64).contains(&name.len())
                    && text.len() <= 254
                    && name.chars().all(plain)
                    && domain.contains('.')
                    && Domain::parse(domain).is_ok() =>
            {
                Ok(Self(text.to_lowercase()))
            }
            _ => {
                let hint = "use an address like `name@example.com`";
                Err(Refusal::new(format!("invalid email address: `{text}`"), hint))
            }
        }
    }

    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl Domain {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            return Ok(Self(text.to_lowercase()));
        }
        let hint = "use a name like `example.com`, without `https://` or `@`";
        Err(Refusal::new(format!("invalid DNS name: `{text}`"), hint))
    }
}

/// The roles that Airflow creates (FAB auth manager).
const ROLES: [&str; 5] = ["Admin", "Op", "User", "Viewer", "Public"];

impl Role {
    pub const ADMIN: &str = "Admin";
    /// Can see everything and change nothing.
    pub const VIEWER: &str = "Viewer";
    /// Can run DAGs and operate Airflow.
    pub const OP: &str = "Op";

    /// Accepts roles that the user created, unless they look like a misspelt built-in one.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if ROLES.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || " _-".contains(c);
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !first || text.len() > 64 || !text.chars().all(plain) || text.ends_with(' ') {
            let hint = "use `Admin`, `Op`, `User`, `Viewer`, `Public` or the name of a role that you created";
            return Err(Refusal::new(format!("invalid role: `{text}`"), hint));
        }
        let near =
            ROLES.iter().find(|role| role.eq_ignore_ascii_case(text)).or_else(|| nearest(text, &ROLES));
        match near {
            Some(near) => Err(Refusal::new(format!("unknown role: `{text}`"), format!("use `{near}`"))),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// A role that is known to be valid.
    pub(in crate::config) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Repository {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |part: &str, more: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let is = |text: &str| match text.split_once('/') {
            Some((owner, name)) => {
                plain(owner, "-") && owner.len() <= 39 && plain(name, "-_.") && name.len() <= 100
            }
            None => false,
        };
        let rest = text.trim_start_matches("https://").trim_start_matches("git@");
        let rest = rest.trim_start_matches("github.com").trim_start_matches(['/', ':']);
        let rest = rest.trim_end_matches('/').trim_end_matches(".git");
        if is(text) && rest == text {
            return Ok(Self(text.to_owned()));
        }
        let hint = if is(rest) { format!("use `{rest}`") } else { "use the form `owner/name`".to_owned() };
        Err(Refusal::new(format!("invalid GitHub repository: `{text}`"), hint))
    }
}

impl GoogleClientId {
    const END: &str = ".apps.googleusercontent.com";

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let rest = text.strip_suffix(Self::END).unwrap_or_default();
        if !rest.is_empty() && rest.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        // The value is not shown: it may be the secret of the client, which is next to the ID in the console.
        let message = format!("invalid Google client ID (it must end in `{}`)", Self::END);
        Err(Refusal::new(message, "copy the ID from https://console.cloud.google.com/apis/credentials"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("Ada.L+x@Example.com").unwrap().as_str(), "ada.l+x@example.com");
        assert_eq!(Address::parse("a@b.example").unwrap().domain(), "b.example");
        for bad in ["", "a", "a@b", "@b.c", "a b@c.d", "a@b@c.d", "a@-b.c", "a,b@c.d"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn domains() {
        for good in ["example.com", "smtp", "email-smtp.eu-central-1.amazonaws.com"] {
            assert!(Domain::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "https://example.com", "@example.com", "a..b", "a b"] {
            assert!(Domain::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn roles() {
        for good in ["Admin", "Public", "Analysts", "data-platform"] {
            assert!(Role::parse(good).is_ok(), "{good}");
        }
        for (bad, cure) in [("admin", "`Admin`"), ("Veiwer", "`Viewer`"), ("op", "`Op`"), ("a/b", "`Op`")] {
            assert!(Role::parse(bad).unwrap_err().hint.contains(cure), "{bad}");
        }
    }

    #[test]
    fn repositories_and_clients() {
        assert!(Repository::parse("acme/data.platform").is_ok());
        for bad in ["https://github.com/acme/data", "git@github.com:acme/data.git", "acme/data.git"] {
            assert_eq!(Repository::parse(bad).unwrap_err().hint, "use `acme/data`", "{bad}");
        }
        for bad in ["", "acme", "a/b/c"] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
        assert!(GoogleClientId::parse("1234-ab.apps.googleusercontent.com").is_ok());
        assert!(GoogleClientId::parse("1234").is_err());
    }
}
