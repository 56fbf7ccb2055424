//! Looks whether secrets are there that only people have. Never reads one.

use crate::doors::aws::{self, Aws};
use crate::fail::{Problem, Result};

/// A problem for each `(key of the environment file, name or ARN)` that Secrets Manager does not have.
/// `file` is the environment file, for the place.
pub async fn missing(aws: &Aws, file: &str, needed: &[(&str, String)]) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (key, id) in needed {
        let Err(error) = aws.secrets.describe_secret().secret_id(id).send().await else { continue };
        if aws::code(&error) != "ResourceNotFoundException" {
            return Err(aws::failure("Secrets Manager", format!("cannot look for the secret `{id}`"), error));
        }
        let message = format!("there is no secret `{id}`, which this needs");
        let hint = if id.starts_with("arn:") {
            "correct the ARN, or make the secret".to_owned()
        } else {
            format!("make it: aws secretsmanager create-secret --name {id} --secret-string file:///dev/stdin")
        };
        problems.push(Problem::new("missing_secret", format!("{file} `{key}`"), message, hint));
    }
    Ok(problems)
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
        let needed = [("a.b", "there".to_owned()), ("login.google", "ductwork/dev/login/google".to_owned())];
        let problems = missing(&aws, "environments/dev.toml", &needed).await.unwrap();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].location, "environments/dev.toml `login.google`");
        assert!(problems[0].hint.contains("create-secret --name ductwork/dev/login/google"));
        assert!(missing(&aws, "f", &[("k", "denied".to_owned())]).await.is_err());
    }
}
