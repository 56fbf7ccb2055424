//! Stores a secret in Secrets Manager: creates it, or gives it another value.

use crate::doors::aws::{self, Aws};
use crate::fail::{Fail, Result};
use crate::model::secret::Secret;
use aws_sdk_secretsmanager::types::Tag;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    Created,
    /// There was one, with another value or the same.
    Replaced,
}

/// Stores the value under its whole name. `tags` are those of a new secret.
pub async fn store(aws: &Aws, id: &str, value: &Secret, tags: &BTreeMap<String, String>) -> Result<Stored> {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let create = aws.secrets.create_secret().name(id).set_tags(Some(tags.collect()));
    match create.secret_string(value.expose()).send().await {
        Ok(_) => Ok(Stored::Created),
        Err(error) if aws::code(&error) == "ResourceExistsException" => replace(aws, id, value).await,
        Err(error) if is_being_deleted(aws, id).await => Err(failure(id, error).hint(format!(
            "it is scheduled for deletion; restore it, then set it: aws secretsmanager restore-secret --secret-id {id}"
        ))),
        Err(error) => Err(failure(id, error)),
    }
}

async fn replace(aws: &Aws, id: &str, value: &Secret) -> Result<Stored> {
    let put = aws.secrets.put_secret_value().secret_id(id).secret_string(value.expose());
    put.send().await.map(|_| Stored::Replaced).map_err(|error| failure(id, error))
}

/// A deleted secret keeps its name for some days.
async fn is_being_deleted(aws: &Aws, id: &str) -> bool {
    let found = aws.secrets.describe_secret().secret_id(id).send().await;
    found.is_ok_and(|secret| secret.deleted_date().is_some())
}

fn failure<E, R>(id: &str, error: aws_sdk_secretsmanager::error::SdkError<E, R>) -> Fail
where
    E: aws_sdk_secretsmanager::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    aws::failure("Secrets Manager", format!("cannot store the secret `{id}`"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_sdk_secretsmanager::operation::create_secret::{CreateSecretError, CreateSecretOutput};
    use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
    use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueOutput;
    use aws_sdk_secretsmanager::primitives::DateTime;
    use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};

    const VALUE: &str = "hunter2";

    async fn stored(id: &str) -> Result<Stored> {
        let create = mock!(Client::create_secret).then_compute_response(|request| {
            assert_eq!(request.secret_string(), Some(VALUE));
            assert!(request.tags().iter().any(|tag| tag.value() == Some("dev")));
            let code = match request.name().unwrap() {
                "new" => return MockResponse::Output(CreateSecretOutput::builder().build()),
                "there" => "ResourceExistsException",
                _ => "InvalidRequestException",
            };
            MockResponse::Error(CreateSecretError::generic(ErrorMetadata::builder().code(code).build()))
        });
        let put = mock!(Client::put_secret_value)
            .match_requests(|request| {
                request.secret_id() == Some("there") && request.secret_string() == Some(VALUE)
            })
            .then_output(|| PutSecretValueOutput::builder().build());
        let describe = mock!(Client::describe_secret)
            .match_requests(|request| request.secret_id() == Some("deleted"))
            .then_output(|| DescribeSecretOutput::builder().deleted_date(DateTime::from_secs(1)).build());
        let mut aws = Aws::nowhere();
        aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&create, &put, &describe]);
        let tags = BTreeMap::from([("environment".to_owned(), "dev".to_owned())]);
        store(&aws, id, &Secret::new(VALUE), &tags).await
    }

    #[tokio::test]
    async fn a_new_secret_is_created_and_another_gets_the_value() {
        assert_eq!(stored("new").await.unwrap(), Stored::Created);
        assert_eq!(stored("there").await.unwrap(), Stored::Replaced);
    }

    #[tokio::test]
    async fn one_that_is_being_deleted_is_told_with_the_command_and_without_the_value() {
        let fail = stored("deleted").await.unwrap_err();
        assert!(
            fail.hints().iter().any(|hint| hint.contains("restore-secret --secret-id deleted")),
            "{fail}"
        );
        assert!(!format!("{fail:?}").contains(VALUE));
    }
}
