//! Who uses an environment and where they work: mail addresses, domains, roles, repositories.

use super::super::document::nearest;
use super::super::problems::Wrong;
use super::checked_text;

checked_text! {
    /// A mail address, in lower case as logins are compared.
    Address
}

checked_text! {
    /// A name of DNS, in lower case.
    Domain
}

checked_text! {
    /// A role of Airflow: one of its own, or the user's.
    Role
}

checked_text! {
    /// `owner/name` on GitHub.
    Repository
}

checked_text! {
    /// The id of a client that Google's console made.
    GoogleClientId
}

impl Address {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let hint = "write it like `name@example.com`";
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
            _ => Err(Wrong::new(format!("`{text}` is no mail address"), hint)),
        }
    }

    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl Domain {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            return Ok(Self(text.to_lowercase()));
        }
        let hint = "write it like `example.com`, without `https://` or `@`";
        Err(Wrong::new(format!("`{text}` is no name of DNS"), hint))
    }
}

/// What FAB brings with it.
const ROLES: [&str; 5] = ["Admin", "Op", "User", "Viewer", "Public"];

impl Role {
    pub const ADMIN: &str = "Admin";
    /// May look at everything and change nothing.
    pub const VIEWER: &str = "Viewer";
    /// May run DAGs and look after them.
    pub const OP: &str = "Op";

    /// Roles of the user's own are taken, unless they look like a misspelt one.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let known = ROLES.map(str::to_owned);
        if known.iter().any(|role| role == text) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "write `Admin`, `Op`, `User`, `Viewer`, `Public` or the name of a role of your own";
        let plain = |c: char| c.is_ascii_alphanumeric() || " _-".contains(c);
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !first || text.len() > 64 || !text.chars().all(plain) || text.ends_with(' ') {
            return Err(Wrong::new(format!("`{text}` is no role"), hint));
        }
        let near =
            known.iter().find(|role| role.eq_ignore_ascii_case(text)).or_else(|| nearest(text, &known));
        match near {
            Some(near) => {
                Err(Wrong::new(format!("`{text}` is no role of Airflow"), format!("write `{near}`")))
            }
            None => Ok(Self(text.to_owned())),
        }
    }

    /// One that is known to be right.
    pub(in crate::config) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Repository {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
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
        let hint = if is(rest) { format!("write `{rest}`") } else { "write it like `owner/name`".to_owned() };
        Err(Wrong::new(format!("`{text}` is no repository of GitHub"), hint))
    }
}

impl GoogleClientId {
    const END: &str = ".apps.googleusercontent.com";

    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let rest = text.strip_suffix(Self::END).unwrap_or_default();
        if !rest.is_empty() && rest.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("is no client id of Google, which ends in `{}`", Self::END);
        Err(Wrong::new(message, "copy it from https://console.cloud.google.com/apis/credentials"))
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
            assert_eq!(Repository::parse(bad).unwrap_err().hint, "write `acme/data`", "{bad}");
        }
        for bad in ["", "acme", "a/b/c"] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
        assert!(GoogleClientId::parse("1234-ab.apps.googleusercontent.com").is_ok());
        assert!(GoogleClientId::parse("1234").is_err());
    }
}
