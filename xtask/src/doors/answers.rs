//! What an answer of AWS has to be, and how often another one is asked for.

use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_s3::config::{Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_types::config_bag::ConfigBag;

/// Refuses XML that ends too soon. The SDK takes what is there for all of it: an ARN may be half of one.
#[derive(Debug)]
pub(super) struct WholeAnswers;

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        if body.starts_with(b"<") {
            roxmltree::Document::parse(std::str::from_utf8(body)?)?;
        }
        Ok(())
    }
}

/// A client of the SDK stops to repeat requests after some fifty that were not answered, however long ago. A deployment
/// lasts for hours and has to be taken to its end; what limits a burst of requests is adaptive retries.
pub(super) fn without_quota(service: &'static str) -> RetryPartition {
    RetryPartition::custom(service).token_bucket(TokenBucket::unlimited()).build()
}

/// Repeats a request whose answer arrived and cannot be understood; the SDK by itself takes that for final. A
/// write is repeated, too, as it is after an answer that was lost: callers ask the service what the first
/// attempt did.
#[derive(Debug)]
pub(super) struct Senseless;

impl ClassifyRetry for Senseless {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let Some(answer) = context.response() else { return RetryAction::NoActionIndicated };
        if error.as_operation_error().is_none() || answer.status().is_success() {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "Senseless"
    }
}
