//! The clock of S3, which is the same for everybody who uses the bucket.

use aws_sdk_s3::config::{Intercept, RuntimeComponents};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_types::config_bag::ConfigBag;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Notes when S3 gave an answer: seconds since 1970, zero as long as it has not said so.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered(Arc<AtomicI64>);

impl Answered {
    /// How old an object was at that moment; one whose age nobody knows is new.
    pub(super) fn age(&self, modified: Option<&DateTime>) -> Duration {
        let written = modified.map_or(i64::MAX, DateTime::secs);
        let age = self.0.load(Ordering::Relaxed).saturating_sub(written);
        Duration::from_secs(u64::try_from(age).unwrap_or_default())
    }
}

impl Intercept for Answered {
    fn name(&self) -> &'static str {
        "Answered"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        self.0.store(date.map_or(0, |date| date.secs()), Ordering::Relaxed);
        Ok(())
    }
}
