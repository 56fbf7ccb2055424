//! Names and values that look like a secret, which no file of the project may hold.

use crate::model::contract::CONTRACT;

/// Whether the value of a name is a secret, as far as the name tells.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    CONTRACT.variables.secret_endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether the value is a URL with a user name or a password.
#[must_use]
pub fn has_credentials(value: &str) -> bool {
    let authority =
        value.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    authority.contains('@')
}
