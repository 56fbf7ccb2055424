//! Asks Secrets Manager and KMS whether secrets can be used. Never reads one.

use crate::doors::aws::{self, Aws};
use crate::doors::signed::Service;
use crate::fail::{Fail, Result};
use crate::model::account::{NeededSecret, SecretState};
use crate::model::secret::{HostSecret, Versions};
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use serde_json::json;
use std::collections::BTreeMap;

/// What can be said of secrets without reading them; each is given by who needs it and by its name or ARN.
pub async fn states(aws: &Aws, needed: Vec<(String, String)>) -> Result<Vec<NeededSecret>> {
    let ask = |(location, id): (String, String)| {
        let aws = aws.clone();
        async move { state(&aws, &id).await.map(|state| NeededSecret { location, id, state }) }
    };
    together(needed.into_iter().map(ask)).await
}

async fn state(aws: &Aws, id: &str) -> Result<SecretState> {
    Ok(match described(aws, id).await? {
        None => SecretState::Missing,
        Some(secret) if secret.deleted_date().is_some() => SecretState::Deleted,
        Some(secret) => match secret.kms_key_id() {
            Some(key) => with_key(aws, key).await,
            None => SecretState::Usable,
        },
    })
}

/// The current version of each secret that exists, by name.
pub async fn versions(aws: &Aws, secrets: &BTreeMap<String, HostSecret>) -> Result<Versions> {
    let ask = |(name, secret): (&String, &HostSecret)| {
        let (aws, name, id) = (aws.clone(), name.clone(), secret.id.clone());
        async move { Ok(current_version(described(&aws, &id).await?).map(|version| (name, version))) }
    };
    Ok(together(secrets.iter().map(ask)).await?.into_iter().flatten().collect())
}

fn current_version(secret: Option<DescribeSecretOutput>) -> Option<String> {
    let mut versions = secret?.version_ids_to_stages.unwrap_or_default().into_iter();
    let current = versions.find(|(_, stages)| stages.iter().any(|stage| stage == "AWSCURRENT"));
    current.map(|(version, _)| version)
}

/// What Secrets Manager says of a secret, if there is one of that name or ARN.
async fn described(aws: &Aws, id: &str) -> Result<Option<DescribeSecretOutput>> {
    match aws.secrets.describe_secret().secret_id(id).send().await {
        Ok(secret) => Ok(Some(secret)),
        Err(error) if aws::code(&error) == "ResourceNotFoundException" => Ok(None),
        Err(error) => Err(aws::failure("Secrets Manager", format!("cannot check the secret `{id}`"), error)),
    }
}

/// Asks everything at the same time; the answers are in the order of the questions.
async fn together<T, F>(asked: impl Iterator<Item = F>) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let asked: Vec<_> = asked.map(tokio::spawn).collect();
    let mut found = Vec::new();
    for answer in asked {
        found.push(answer.await.map_err(|error| Fail::bug(error.to_string()))??);
    }
    Ok(found)
}

/// A key that nobody may ask about, such as that of another account, is taken for usable.
async fn with_key(aws: &Aws, key: &str) -> SecretState {
    let answer = aws.signed.json(Service::Kms, "TrentService.DescribeKey", &json!({ "KeyId": key })).await;
    let state = match &answer {
        Ok(found) => found["KeyMetadata"]["KeyState"].as_str().unwrap_or("Enabled"),
        Err(refused) if refused.code() == "NotFoundException" => "NotFound",
        Err(_) => "Enabled",
    };
    match state {
        "Enabled" => SecretState::Usable,
        _ => SecretState::Locked { key: key.to_owned(), state: state.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError;
    use aws_sdk_secretsmanager::primitives::DateTime;
    use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};

    #[tokio::test]
    async fn what_is_not_there_is_told_and_another_failure_is_one() {
        let describe = mock!(Client::describe_secret).then_compute_response(|request| {
            let code = match request.secret_id().unwrap() {
                "there" => {
                    return MockResponse::Output(DescribeSecretOutput::builder().kms_key_id("k").build());
                }
                "gone" => {
                    let deleted = DescribeSecretOutput::builder().deleted_date(DateTime::from_secs(1));
                    return MockResponse::Output(deleted.build());
                }
                "denied" => "AccessDeniedException",
                _ => "ResourceNotFoundException",
            };
            MockResponse::Error(DescribeSecretError::generic(ErrorMetadata::builder().code(code).build()))
        });
        let mut aws = Aws::nowhere();
        aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&describe]);
        assert_eq!(state(&aws, "there").await.unwrap(), SecretState::Usable);
        assert_eq!(state(&aws, "gone").await.unwrap(), SecretState::Deleted);
        assert_eq!(state(&aws, "ductwork/dev/login/google").await.unwrap(), SecretState::Missing);
        assert!(state(&aws, "denied").await.is_err());
    }
}
