//! Who may use a registry: AWS says so for its own, the environment or Secrets Manager for others, as for the index of
//! packages.

use crate::config::Environment;
use crate::doors::aws::{self, Aws};
use crate::doors::registry::{Login, Reference};
use crate::doors::{env, package_index};
use crate::fail::{Fail, Result};
use crate::model::names;
use crate::model::secret::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// What the secret of a registry or index holds.
#[derive(Deserialize)]
struct Stored {
    username: String,
    password: String,
}

/// The login for pushing and pulling images of this project.
///
/// # Errors
/// AWS or Secrets Manager refuses, or the secret has another form.
pub async fn own(aws: &Aws, environment: &Environment, image: &Reference) -> Result<Login> {
    if environment.container.repository.is_none() {
        return account(aws, image).await;
    }
    if let Some((user, password)) = env::registry_login() {
        return Ok(basic(&user, &password));
    }
    let stored = stored(aws, environment, names::REGISTRY_SECRET).await?;
    Ok(stored.map_or(Login::Anonymous, |(user, password)| basic(&user, &password)))
}

/// The login at the package index that is stored for an environment.
pub async fn of_packages(aws: &Aws, environment: &Environment) -> Result<Option<package_index::Login>> {
    let found = stored(aws, environment, names::INDEX_SECRET).await?;
    let origin = format!("the secret `{}`", names::secret(environment.name.as_str(), names::INDEX_SECRET));
    Ok(found.map(|(user, password)| package_index::Login { user, password, origin }))
}

fn basic(user: &str, password: &Secret) -> Login {
    Login::Basic(user.to_owned(), password.expose().to_owned())
}

/// ECR's own, for twelve hours
/// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html>).
async fn account(aws: &Aws, image: &Reference) -> Result<Login> {
    let answer = aws.ecr.get_authorization_token().send().await;
    let answer = answer
        .map_err(|error| aws::failure("ECR", format!("cannot log in at `{}`", image.registry()), error))?;
    let token = answer.authorization_data().first().and_then(|data| data.authorization_token());
    let pair = token.and_then(|token| BASE64_STANDARD.decode(token).ok());
    let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
    match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) => Ok(basic(user, &Secret::new(password))),
        None => Err(Fail::failed("ECR gave no login")),
    }
}

async fn stored(aws: &Aws, environment: &Environment, name: &str) -> Result<Option<(String, Secret)>> {
    let id = names::secret(environment.name.as_str(), name);
    match aws.secrets.get_secret_value().secret_id(&id).send().await {
        Ok(found) => found.secret_string.map(|text| parsed(&id, name, &Secret::new(text))).transpose(),
        Err(error) if aws::code(&error) == "ResourceNotFoundException" => Ok(None),
        Err(error) => Err(aws::failure("Secrets Manager", format!("cannot read the secret `{id}`"), error)),
    }
}

fn parsed(id: &str, name: &str, text: &Secret) -> Result<(String, Secret)> {
    // Without the parser's words, which could repeat the value.
    let stored: Stored = serde_json::from_str(text.expose()).map_err(|_| {
        Fail::usage(format!("the secret `{id}` does not hold a login")).hint(format!(
            r#"store it as {{"username": "…", "password": "…"}}: cargo xtask secret set {name}"#
        ))
    })?;
    Ok((stored.username, Secret::new(stored.password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_cannot_be_read_is_not_shown() {
        let good = parsed("s", "n", &Secret::new(r#"{"username": "me", "password": "hunter2"}"#)).unwrap();
        assert_eq!(good, ("me".to_owned(), Secret::new("hunter2")));
        for bad in ["hunter2", r#"{"username": "hunter2"}"#, r#"["hunter2"]"#] {
            let fail = format!("{:?}", parsed("s", "n", &Secret::new(bad)).unwrap_err());
            assert!(!fail.contains("hunter2"), "{fail}");
        }
    }
}
