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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_end_of_their_name() {
        for secret in ["DB_PASSWORD", "password", "extra.aws_secret_access_key", "extra.key_path_passphrase"]
        {
            assert!(names_a_secret(secret), "{secret}");
        }
        for free in ["PASSWORD_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "TOKENS_PER_DAY", "extra.key_path"] {
            assert!(!names_a_secret(free), "{free}");
        }
    }

    #[test]
    fn credentials_are_those_before_the_host() {
        assert!(has_credentials("redis://:x@h/0") && has_credentials("https://u:p@h"));
        assert!(!has_credentials("https://h/a@b") && !has_credentials("a@example.com"));
    }
}
