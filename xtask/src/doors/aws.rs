//! The one way to AWS: region, endpoint, credentials, retries, time-outs, and a count of every call.

use super::answers::{Senseless, WholeAnswers, without_quota};
use super::failure::{LOG_IN, is_offline};
pub use super::failure::{code, credentials_ended, failure, is_absent_stack, is_passing, passes, refused};
use super::fence::Fence;
use super::haste;
use super::pace::Pace;
use super::signed::Signed;
use crate::fail::{Kind, Result};
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
    /// What every request of these clients passes.
    pub fence: Fence,
    /// For those who watch.
    pub pace: Pace,
    pub(super) watches: bool,
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
        let pace = if cloud == Cloud::Local { Pace::none() } else { Pace::default() };
        Self { pace, ..Self::over(&loader.load().await, region, endpoint) }
    }

    fn over(config: &SdkConfig, region: &str, endpoint: Option<&str>) -> Self {
        let (counter, fence) = (Counter::default(), Fence::default());
        // Not that of credentials, without which no proof could be made.
        let http = config.http_client().map(|client| fence.around(client));
        let app = config.app_name().map_or("", AsRef::as_ref);
        macro_rules! ours {
            ($service:ident) => {{
                let mut builder = $service::config::Builder::from(config);
                builder.set_http_client(http.clone());
                builder
            }
            .interceptor(counter.clone())
            .interceptor(ShortReads)
            .interceptor(WholeAnswers)
            .retry_partition(without_quota(stringify!($service)))
            .retry_classifier(Senseless)};
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
            signed: Signed::new(
                app,
                config.credentials_provider(),
                region,
                endpoint,
                (counter.clone(), fence.clone()),
            ),
            fence,
            pace: Pace::default(),
            watches: false,
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
        let shared = (aws.counter.clone(), aws.fence.clone());
        aws.signed = Signed::new("test", Some(provider), &aws.region, Some(endpoint), shared);
        aws
    }

    /// All clients over one that the test answers with.
    #[cfg(test)]
    pub(crate) fn over_client(client: SharedHttpClient) -> Self {
        let credentials = Credentials::new("local", "local", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
            .http_client(client)
            .build();
        Self::over(&config, "eu-central-1", None)
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

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
