//! Names of secrets that people store for an environment.

use super::checked::checked_text;
use crate::config::problems::Refusal;
use crate::config::words::{list, nearest};
use crate::model::names;

checked_text! {
    /// The name of a secret without the prefix of its environment, such as `connections/warehouse`.
    SecretName
}

/// What stands before the slash: connections and variables of Airflow, what logins need, what images, packages and DAGs do.
const KINDS: [&str; 6] = ["connections", "variables", "login", "image", "packages", "dags"];
/// Secrets that are the only ones of their kind.
const SINGLE: [(&str, &str); 4] = [
    ("login/google", "logins"),
    (names::REGISTRY_SECRET, "images"),
    (names::INDEX_SECRET, "packages"),
    (names::GIT_SECRET, "DAGs"),
];

impl SecretName {
    /// Accepts what Secrets Manager accepts
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>), if anything
    /// reads it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let message = format!("invalid name of a secret: `{text}`");
        let Some((kind, name)) = text.split_once('/').filter(|(kind, _)| KINDS.contains(kind)) else {
            return Err(Refusal::new(message, cure(text)));
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
        if name.is_empty() || text.len() > 400 || !text.bytes().all(allowed) {
            let hint = format!("write `{kind}/` and 1 to 380 letters, digits or characters of `/_+=.@-`");
            return Err(Refusal::new(message, hint));
        }
        let single = SINGLE.iter().find(|(name, _)| name.split('/').next() == Some(kind));
        if let Some((only, of)) = single.filter(|(only, _)| *only != text) {
            return Err(Refusal::new(message, format!("use `{only}`, the only secret of {of}")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Its whole name in Secrets Manager.
    #[must_use]
    pub fn of(&self, environment: &str) -> String {
        names::secret(environment, self)
    }
}

/// What was probably meant by a name of no known kind.
fn cure(text: &str) -> String {
    let (kind, name) = text.split_once('/').unwrap_or(("", text));
    if kind == names::SECRETS {
        let rest = name.split_once('/').map_or(name, |(_, rest)| rest);
        return format!("leave out the prefix, which follows from --env: `{rest}`");
    }
    match nearest(kind, &KINDS) {
        Some(near) => format!("write it as `{near}/{name}`"),
        None => {
            let single = SINGLE.iter().map(|(name, _)| (*name).to_owned());
            let known = KINDS[..2].iter().map(|kind| format!("{kind}/{name}")).chain(single);
            format!("write it as {}", list(&known.collect::<Vec<_>>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_something_reads() {
        let single = ["login/google", "image/registry", "packages/index", "dags/git"];
        for good in ["connections/warehouse", "variables/a/b.c_d-e@f"].into_iter().chain(single) {
            assert_eq!(SecretName::parse(good).unwrap().of("dev"), format!("ductwork/dev/{good}"));
        }
    }

    #[test]
    fn others_are_refused_with_what_was_meant() {
        for (bad, cure) in [
            (
                "warehouse",
                "write it as `connections/warehouse`, `variables/warehouse`, `login/google`, `image/registry`, `packages/index` or `dags/git`",
            ),
            ("image/registries", "use `image/registry`, the only secret of images"),
            ("packages/pypi", "use `packages/index`, the only secret of packages"),
            ("dags/key", "use `dags/git`, the only secret of DAGs"),
            ("conections/x", "write it as `connections/x`"),
            ("connection/x", "write it as `connections/x`"),
            ("ductwork/dev/variables/x", "leave out the prefix, which follows from --env: `variables/x`"),
            ("login/gogle", "use `login/google`, the only secret of logins"),
            ("connections/", "write `connections/` and 1 to 380 letters, digits or characters of `/_+=.@-`"),
            ("variables/a b", "write `variables/` and 1 to 380 letters, digits or characters of `/_+=.@-`"),
        ] {
            assert_eq!(SecretName::parse(bad).unwrap_err().hint, cure, "{bad}");
        }
    }
}
