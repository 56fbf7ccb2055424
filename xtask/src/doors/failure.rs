//! What a failed call of AWS is to people: service, code, message and cure; and whether it passes by itself.

use super::signed::Refused;
use crate::fail::Fail;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::ErrorKind;
use std::fmt;

const AGAIN: &str = "the service did not answer, or asked for patience: run the same command again";
pub(super) const LOG_IN: &str = "log in again, for instance: aws sso login --profile \"$AWS_PROFILE\"";

/// What AWS answered, or why it did not answer: service, code, message and request id, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AwsError {
    service: String,
    /// The service's own word; none if the request never reached it or the answer made no sense.
    code: Option<String>,
    text: String,
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{}: {code}: {}", self.service, self.text),
            None => write!(f, "{}: {}", self.service, self.text),
        }
    }
}

impl std::error::Error for AwsError {}

/// A failed call as a failure that says what was being done.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub fn failure<E, R>(service: &str, what: impl Into<String>, error: aws_sdk_s3::error::SdkError<E, R>) -> Fail
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    use aws_sdk_s3::error::SdkError;
    let passes = may_pass(&error);
    let (code, text) = match &error {
        SdkError::ServiceError(context) => {
            let meta = context.err().meta();
            let text = meta.message().unwrap_or("no message");
            let id = meta.extra("aws_request_id").map(|id| format!(" (request {id})")).unwrap_or_default();
            (Some(meta.code().unwrap_or("unknown error").to_owned()), format!("{text}{id}"))
        }
        SdkError::DispatchFailure(failure) => {
            let text = innermost(failure.as_connector_error().map(|e| e as &dyn std::error::Error));
            // Credentials are looked for on the way; the hint names where in fewer words.
            let text = text.split(". Attempted:").next().unwrap_or_default();
            let what = if is_offline(&error) { "no connection: " } else { "" };
            (None, format!("{what}{text}"))
        }
        SdkError::TimeoutError(_) => (None, "no answer in time".to_owned()),
        SdkError::ConstructionFailure(_) => (None, innermost(Some(&error))),
        _ => (None, format!("unexpected answer: {}", innermost(Some(&error)))),
    };
    cured(Fail::failed(what).because(AwsError { service: service.to_owned(), code, text }), passes)
}

/// With what helps, if anything is known to.
fn cured(fail: Fail, passes: bool) -> Fail {
    if credentials_ended(&fail) {
        fail.hint(LOG_IN)
    } else if passes {
        fail.or_hint(AGAIN)
    } else {
        fail
    }
}

/// The same for a service without an SDK crate here.
#[must_use]
pub fn refused(service: &str, what: impl Into<String>, refused: &Refused) -> Fail {
    let (code, text) = match refused {
        Refused::Error { code, message } => (Some(code.clone()), message.clone()),
        Refused::Silent(text) => (None, text.clone()),
    };
    cured(Fail::failed(what).because(AwsError { service: service.to_owned(), code, text }), refused.passes())
}

/// Whether a call failed because the credentials are valid no longer. It concerns every other call as well.
#[must_use]
pub fn credentials_ended(fail: &Fail) -> bool {
    const ENDED: [&str; 5] = [
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    ];
    let code = fail.underlying::<AwsError>().and_then(|error| error.code.as_deref());
    code.is_some_and(|code| ENDED.contains(&code))
}

/// Whether the failure that a call has become passes by itself. What is not a failure of a call does not pass.
#[must_use]
pub fn is_passing(fail: &Fail) -> bool {
    let error = fail.underlying::<AwsError>();
    error.is_some_and(|error| error.code.as_deref().is_none_or(is_passing_code))
}

/// Throttling, a broken connection, a fault of the service.
pub fn passes<E: ProvideErrorMetadata>(error: &aws_sdk_s3::error::SdkError<E>) -> bool {
    use aws_sdk_s3::error::SdkError;
    match error {
        SdkError::ServiceError(answer) if answer.raw().status().is_server_error() => true,
        _ => may_pass(error),
    }
}

/// The same by what the service said alone.
fn may_pass<E: ProvideErrorMetadata, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> bool {
    use aws_sdk_s3::error::SdkError;
    match error {
        SdkError::ServiceError(_) => code(error) == "SlowDown" || is_passing_code(code(error)),
        SdkError::ConstructionFailure(_) => false,
        // The connection ended before the answer came.
        SdkError::DispatchFailure(failure) => {
            is_offline(error) || failure.as_other() == Some(ErrorKind::TransientError)
        }
        _ => true,
    }
}

pub(super) fn is_passing_code(code: &str) -> bool {
    const PASSING: [&str; 5] = ["Throttl", "TooManyRequests", "RequestLimit", "Unavailable", "Internal"];
    PASSING.iter().any(|word| code.contains(word))
}

/// Whether the request never got through.
pub(super) fn is_offline<E, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> bool {
    use aws_sdk_s3::error::SdkError;
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::TimeoutError(_) => true,
        _ => false,
    }
}

fn innermost(error: Option<&dyn std::error::Error>) -> String {
    let mut last = error.map(ToString::to_string).unwrap_or_default();
    let mut next = error.and_then(std::error::Error::source);
    while let Some(source) = next {
        last = source.to_string();
        next = source.source();
    }
    last
}

/// The error code of a failed call, empty where it never reached the service.
pub fn code<E, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> &str
where
    E: ProvideErrorMetadata,
{
    error.as_service_error().and_then(|e| e.meta().code()).unwrap_or_default()
}

/// CloudFormation has no code of its own for a stack that is not there; its words are the only sign.
#[must_use]
pub fn is_absent_stack<E: ProvideErrorMetadata, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> bool {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message);
    code(error) == "ValidationError" && message.is_some_and(|text| text.contains("does not exist"))
}
