//! Asks Secrets Manager whether secrets exist. Never reads one.

use crate::doors::aws::{self, Aws};
use crate::fail::Result;

/// Whether there is a secret of that name or ARN.
pub async fn exists(aws: &Aws, id: &str) -> Result<bool> {
    match aws.secrets.describe_secret().secret_id(id).send().await {
        Ok(_) => Ok(true),
        Err(error) if aws::code(&error) == "ResourceNotFoundException" => Ok(false),
        Err(error) => Err(aws::failure("Secrets Manager", format!("cannot check the secret `{id}`"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_sdk_secretsmanager::operation::describe_secret::{DescribeSecretError, DescribeSecretOutput};
    use aws_smithy_mocks::{MockResponse, RuleMode, mock, mock_client};

    #[tokio::test]
    async fn what_is_not_there_is_told_and_another_failure_is_one() {
        let describe = mock!(Client::describe_secret).then_compute_response(|request| {
            let code = match request.secret_id().unwrap() {
                "there" => return MockResponse::Output(DescribeSecretOutput::builder().build()),
                "denied" => "AccessDeniedException",
                _ => "ResourceNotFoundException",
            };
            MockResponse::Error(DescribeSecretError::generic(ErrorMetadata::builder().code(code).build()))
        });
        let mut aws = Aws::nowhere();
        aws.secrets = mock_client!(aws_sdk_secretsmanager, RuleMode::MatchAny, [&describe]);
        assert!(exists(&aws, "there").await.unwrap());
        assert!(!exists(&aws, "ductwork/dev/login/google").await.unwrap());
        assert!(exists(&aws, "denied").await.is_err());
    }
}
