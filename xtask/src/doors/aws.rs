//! The one way to AWS: region, endpoint, credentials, retries, time-outs, and a count of every call.

use super::answers::{Senseless, WholeAnswers, without_quota};
use super::haste;
use super::signed::{Refused, Signed};
use crate::fail::{Fail, Kind, Result};
use crate::model::cloud::Cloud;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::config::{Credentials, Intercept, RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::ErrorKind;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A connection that says nothing for so long is dead; the local cloud answers some calls only when all
/// is done. Reads, documents and uploads have a patience of their own.
const PATIENCE: Duration = Duration::from_secs(60);
const LOCAL_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// A read has nothing to wait for.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// Before a request is repeated: the SDK's own pauses, at random up to this, doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
const AGAIN: &str = "the service did not answer, or asked for patience: run the same command again";
const LOG_IN: &str = "log in again, for instance: aws sso login --profile \"$AWS_PROFILE\"";

/// The clients, ready to use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aws {
    pub region: String,
    /// Set if this is not AWS itself.
    pub endpoint: Option<String>,
    pub autoscaling: aws_sdk_autoscaling::Client,
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub codedeploy: aws_sdk_codedeploy::Client,
    pub ecr: aws_sdk_ecr::Client,
    pub s3: aws_sdk_s3::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    pub sts: aws_sdk_sts::Client,
    /// Services without a client of their own.
    pub signed: Signed,
    counter: Counter,
}

impl Aws {
    /// How many requests went out so far, retries included.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.counter.get()
    }

    /// Clients for `region`, at `endpoint` if one is given; nothing is sent yet. The local cloud takes any
    /// credentials, so the credential chain is not asked for it. Each request names `stack` in its user agent:
    /// the audit trail tells what was being deployed, and the local cloud records what the tool asks.
    pub async fn connect(stack: &str, region: &str, endpoint: Option<&str>, cloud: Cloud) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client(endpoint))
            .retry_config(in_haste(RetryConfig::adaptive().with_max_attempts(8)))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(patience(cloud)).build())
            .region(Region::new(region.to_owned()));
        if let Ok(name) = AppName::new(stack.to_owned()) {
            loader = loader.app_name(name);
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if cloud == Cloud::Local {
            loader = loader.credentials_provider(Credentials::new(
                "local",
                "local",
                None,
                None,
                "the local cloud",
            ));
        }
        Self::over(&loader.load().await, region, endpoint)
    }

    fn over(config: &SdkConfig, region: &str, endpoint: Option<&str>) -> Self {
        let counter = Counter::default();
        let app = config.app_name().map_or("", AsRef::as_ref);
        macro_rules! ours {
            ($service:ident) => {
                $service::config::Builder::from(config)
                    .interceptor(counter.clone())
                    .interceptor(ShortReads)
                    .interceptor(WholeAnswers)
                    .retry_partition(without_quota(stringify!($service)))
                    .retry_classifier(Senseless)
            };
        }
        macro_rules! client {
            ($service:ident) => {
                $service::Client::from_conf(ours!($service).build())
            };
        }
        let s3 = ours!(aws_sdk_s3).force_path_style(endpoint.is_some());
        // The first call of all: it fails soon if there is no connection.
        let sts = ours!(aws_sdk_sts).retry_config(in_haste(RetryConfig::standard().with_max_attempts(3)));
        Self {
            region: region.to_owned(),
            endpoint: endpoint.map(str::to_owned),
            autoscaling: client!(aws_sdk_autoscaling),
            cloudformation: client!(aws_sdk_cloudformation),
            codedeploy: client!(aws_sdk_codedeploy),
            ecr: client!(aws_sdk_ecr),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            secrets: client!(aws_sdk_secretsmanager),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            signed: Signed::new(app, config.credentials_provider(), region, endpoint, counter.clone()),
            counter,
        }
    }

    /// Clients that go nowhere, for tests to put mocked ones in.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .build();
        Self::over(&config, "eu-central-1", None)
    }

    /// The same with what has no client of its own at a server of the test.
    #[cfg(test)]
    pub(crate) fn signed_at(endpoint: &str) -> Self {
        let mut aws = Self::nowhere();
        let credentials = Credentials::new("local", "local", None, None, "test");
        let provider = aws_sdk_s3::config::SharedCredentialsProvider::new(credentials);
        aws.signed = Signed::new("test", Some(provider), &aws.region, Some(endpoint), aws.counter.clone());
        aws
    }

    /// The account the credentials belong to.
    pub async fn account(&self) -> Result<String> {
        let identity = self.sts.get_caller_identity().send().await;
        let identity = identity.map_err(|error| {
            let (offline, passes) = (is_offline(&error), passes(&error));
            let fail = failure("STS", "cannot tell whose account this is", error);
            if offline {
                fail.with_kind(Kind::Usage).hint("connect to the network, then run the same command again")
            } else if passes {
                fail.hint("run the same command again")
            } else if credentials_ended(&fail) {
                fail.with_kind(Kind::Usage)
            } else {
                fail.with_kind(Kind::Usage).hint(LOG_IN)
            }
        })?;
        Ok(identity.account().unwrap_or_default().to_owned())
    }
}

fn patience(cloud: Cloud) -> Duration {
    haste::patience(if cloud == Cloud::Local { LOCAL_PATIENCE } else { PATIENCE })
}

fn in_haste(retries: RetryConfig) -> RetryConfig {
    retries.with_initial_backoff(haste::pause(PAUSE)).with_max_backoff(haste::pause(LONGEST_PAUSE))
}

/// rustls with ring: the SDK's own default takes 50 s longer to compile. Plain HTTP is for emulators.
fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    match endpoint {
        Some(endpoint) if endpoint.starts_with("http://") => builder.build_http(),
        _ => builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
    }
}

/// Counts requests just before they leave.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for Counter {
    fn name(&self) -> &'static str {
        "Counter"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.count();
        Ok(())
    }
}

/// Gives reads a patience of their own.
#[derive(Debug)]
struct ShortReads;

impl Intercept for ShortReads {
    fn name(&self) -> &'static str {
        "ShortReads"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        const READS: [&str; 5] = ["Describe", "Get", "List", "BatchGet", "Head"];
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        if READS.iter().any(|verb| operation.starts_with(verb)) {
            let whole =
                config.load::<TimeoutConfig>().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
            config
                .interceptor_state()
                .store_put(whole.operation_attempt_timeout(haste::patience(READ_PATIENCE)).build());
        }
        Ok(())
    }
}

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
        SdkError::ServiceError(_) => code(error) == "SlowDown" || is_passing(code(error)),
        SdkError::ConstructionFailure(_) => false,
        // The connection ended before the answer came.
        SdkError::DispatchFailure(failure) => {
            is_offline(error) || failure.as_other() == Some(ErrorKind::TransientError)
        }
        _ => true,
    }
}

fn is_passing(code: &str) -> bool {
    const PASSING: [&str; 5] = ["Throttl", "TooManyRequests", "RequestLimit", "Unavailable", "Internal"];
    PASSING.iter().any(|word| code.contains(word))
}

/// Whether the request never got through.
fn is_offline<E, R>(error: &aws_sdk_s3::error::SdkError<E, R>) -> bool {
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

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
