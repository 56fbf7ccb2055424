//! Services of AWS whose SDK crate is not worth its build time: requests signed like those of the SDK, with a
//! deadline, counted, and repeated when only the moment was wrong. So a write has to be one that may come twice.

use super::aws::Counter;
use super::fence::{CLOSED, Fence};
use super::http::escaped;
pub use super::refused::Refused;
use super::refused::refusal;
use super::{backoff, haste, time};
use aws_sdk_sts::config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How long an answer may take, and how often it is asked for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    deadline: Duration,
    /// If the service says that it cannot just now: throttling passes within seconds.
    attempts: usize,
    /// If it says nothing.
    unanswered: usize,
}

/// What is read here answers within a second or two; where nobody answers three times, the way to the service is shut.
const READ: Patience = Patience { deadline: Duration::from_secs(6), attempts: 9, unanswered: 3 };
/// Whoever watches looks again in its own time.
const LOOK: Patience = Patience { attempts: 1, unanswered: 1, ..READ };
/// What is begun here has to be begun; the local cloud answers when all is done.
const WRITE: Patience = Patience { deadline: Duration::from_secs(60), attempts: 9, unanswered: 9 };
const ONCE: Patience = Patience { attempts: 1, unanswered: 1, ..WRITE };
/// Between two attempts, half as long again each time.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Credentials that end so soon are fetched anew.
const ENDING: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Acm,
    ApplicationAutoScaling,
    CloudWatch,
    Ec2,
    /// Its SDK crate takes 32 s of one core to compile.
    Ecs,
    Iam,
    Kms,
    Logs,
    Quotas,
    Rds,
    Route53,
    Ssm,
}

impl Service {
    /// As in host names and signatures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acm => "acm",
            Self::ApplicationAutoScaling => "application-autoscaling",
            Self::CloudWatch => "monitoring",
            Self::Ec2 => "ec2",
            Self::Ecs => "ecs",
            Self::Iam => "iam",
            Self::Kms => "kms",
            Self::Logs => "logs",
            Self::Quotas => "servicequotas",
            Self::Rds => "rds",
            Self::Route53 => "route53",
            Self::Ssm => "ssm",
        }
    }

    /// The version of its JSON protocol, as its service model says.
    fn json(self) -> &'static str {
        if self == Self::CloudWatch { "1.0" } else { "1.1" }
    }

    /// Where the service answers, and the region that a signature names. Route 53 and IAM have one place in each
    /// partition (<https://docs.aws.amazon.com/general/latest/gr/r53.html>,
    /// <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>).
    #[must_use]
    pub fn place(self, region: &str) -> (String, String) {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let name = self.name();
        match (self, region) {
            (Self::Iam, _) if region.starts_with("us-gov-") => {
                (format!("https://{name}.us-gov.{suffix}"), "us-gov-west-1".to_owned())
            }
            (Self::Iam, _) if region.starts_with("cn-") => {
                (format!("https://{name}.cn-north-1.{suffix}"), "cn-north-1".to_owned())
            }
            (Self::Route53, _) if region.starts_with("us-gov-") => {
                (format!("https://{name}.us-gov.{suffix}"), "us-gov-west-1".to_owned())
            }
            (Self::Route53, _) if region.starts_with("cn-") => {
                (format!("https://{name}.{suffix}"), "cn-northwest-1".to_owned())
            }
            (Self::Route53 | Self::Iam, _) => (format!("https://{name}.{suffix}"), "us-east-1".to_owned()),
            _ => (format!("https://{name}.{region}.{suffix}"), region.to_owned()),
        }
    }
}

pub type Answer<T> = Result<T, Refused>;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signed {
    /// As the SDK names the stack in its user agent.
    app: String,
    provider: Option<SharedCredentialsProvider>,
    credentials: std::sync::Arc<Mutex<Option<Credentials>>>,
    region: String,
    endpoint: Option<String>,
    counter: Counter,
    fence: Fence,
    agent: ureq::Agent,
}

/// A request before it is signed.
#[derive(Clone, Debug)]
struct Request {
    service: Service,
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Signed {
    pub(super) fn new(
        app: &str,
        provider: Option<SharedCredentialsProvider>,
        region: &str,
        endpoint: Option<&str>,
        (counter, fence): (Counter, Fence),
    ) -> Self {
        let config = ureq::Agent::config_builder();
        let config = config.http_status_as_error(false).build();
        Self {
            app: format!("app/{app}"),
            provider,
            credentials: std::sync::Arc::default(),
            region: region.to_owned(),
            endpoint: endpoint.map(|url| url.trim_end_matches('/').to_owned()),
            counter,
            fence,
            agent: config.into(),
        }
    }

    /// An operation of a JSON service, by its whole `X-Amz-Target`.
    pub async fn json(&self, service: Service, target: &str, input: &Value) -> Answer<Value> {
        self.operation(service, target, input, READ).await
    }

    /// The same for one look of a watcher.
    pub async fn look(&self, service: Service, target: &str, input: &Value) -> Answer<Value> {
        self.operation(service, target, input, LOOK).await
    }

    /// The same for one that changes something, and may be sent twice if the first answer is lost.
    pub async fn write(&self, service: Service, target: &str, input: &Value) -> Answer<Value> {
        self.operation(service, target, input, WRITE).await
    }

    /// The same for one that must not come twice; whoever gets no answer does not know.
    pub async fn once(&self, service: Service, target: &str, input: &Value) -> Answer<Value> {
        self.operation(service, target, input, ONCE).await
    }

    async fn operation(
        &self,
        service: Service,
        target: &str,
        input: &Value,
        patience: Patience,
    ) -> Answer<Value> {
        let headers = vec![
            ("content-type", format!("application/x-amz-json-{}", service.json())),
            ("x-amz-target", target.to_owned()),
        ];
        let text = self.send(service, "POST", "/", headers, input.to_string(), patience).await?;
        understood(&text)
    }

    /// An action of EC2.
    pub async fn ec2(&self, action: &str, parameters: &[(String, String)]) -> Answer<String> {
        self.query(Service::Ec2, "2016-11-15", action, parameters).await
    }

    /// An action of a service with a query API of this version; the answer is XML.
    pub async fn query(
        &self,
        service: Service,
        version: &str,
        action: &str,
        parameters: &[(String, String)],
    ) -> Answer<String> {
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            body += &format!("&{}={}", escaped(name), escaped(value));
        }
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        self.send(service, "POST", "/", headers, body, READ).await
    }

    /// A resource of a REST service; the answer is XML.
    pub async fn get(&self, service: Service, path: &str) -> Answer<String> {
        self.send(service, "GET", path, Vec::new(), String::new(), READ).await
    }

    async fn send(
        &self,
        service: Service,
        method: &'static str,
        path: &str,
        mut headers: Vec<(&'static str, String)>,
        body: String,
        patience: Patience,
    ) -> Answer<String> {
        headers.push(("user-agent", self.app.clone()));
        let (place, region) = service.place(&self.region);
        let url = format!("{}{path}", self.endpoint.as_deref().unwrap_or(&place));
        let request = Request { service, method, url, headers, body };
        let mut wait = backoff::Backoff::new(haste::pause(PAUSE), haste::pause(LONGEST_PAUSE));
        let (mut attempts, mut unanswered) = (0, 0);
        loop {
            let credentials = self.credentials().await?;
            let refused = match self.attempt(&request, &region, &credentials, patience.deadline).await {
                Err(refused) if refused.passes() => refused,
                answer => return answer,
            };
            attempts += 1;
            unanswered += usize::from(refused.code().is_empty());
            if attempts >= patience.attempts || unanswered >= patience.unanswered {
                return Err(refused);
            }
            wait.wait().await;
        }
    }

    /// Kept until they end: a provider may have to ask another service for them, and those of a role last an hour.
    async fn credentials(&self) -> Answer<Credentials> {
        let mut kept = self.credentials.lock().await;
        let lasts = |one: &&Credentials| one.expiry().is_none_or(|end| end > time::system() + ENDING);
        if let Some(found) = kept.as_ref().filter(lasts) {
            return Ok(found.clone());
        }
        let none = || Refused::Silent("there are no credentials".to_owned());
        let provider = self.provider.as_ref().ok_or_else(none)?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| Refused::Silent(error.to_string()))?;
        Ok(kept.insert(found).clone())
    }

    async fn attempt(
        &self,
        request: &Request,
        region: &str,
        credentials: &Credentials,
        deadline: Duration,
    ) -> Answer<String> {
        let mut request = request.clone();
        let is_json = request.headers.iter().any(|(name, _)| *name == "x-amz-target");
        request.headers.extend(signature(&request, region, credentials.clone(), time::system())?);
        if !self.fence.holds().await {
            return Err(Refused::Error { code: "LeaseLost".to_owned(), message: CLOSED.to_owned() });
        }
        self.counter.count();
        let agent = self.agent.clone();
        let sent = tokio::task::spawn_blocking(move || exchange(&agent, &request, deadline)).await;
        let (status, text) = sent.map_err(|error| Refused::Silent(error.to_string()))??;
        if !(200..300).contains(&status) {
            return Err(refusal(status, &text));
        }
        // An answer that arrives broken is no answer.
        let arrived =
            if is_json { understood(&text).map(|_: serde::de::IgnoredAny| ()) } else { whole(&text) };
        arrived.map(|()| text)
    }
}

fn understood<T: serde::de::DeserializeOwned>(text: &str) -> Answer<T> {
    serde_json::from_str(text).map_err(|error| unexpected(&error))
}

fn whole(xml: &str) -> Answer<()> {
    roxmltree::Document::parse(xml).map(drop).map_err(|error| unexpected(&error))
}

fn unexpected(error: &dyn fmt::Display) -> Refused {
    Refused::Silent(format!("unexpected answer: {error}"))
}

fn exchange(agent: &ureq::Agent, request: &Request, deadline: Duration) -> Answer<(u16, String)> {
    let mut built = ureq::http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        built = built.header(*name, value);
    }
    let silent = |error: &dyn fmt::Display| {
        Refused::Silent(format!("no answer from {}: {error}", request.service.name()))
    };
    let sent = match request.method {
        "GET" => built.body(()).map(|request| agent.run(in_time(agent, request, deadline))),
        _ => built.body(request.body.clone()).map(|request| agent.run(in_time(agent, request, deadline))),
    };
    let mut answer = sent.map_err(|error| silent(&error))?.map_err(|error| silent(&error))?;
    let text = answer.body_mut().read_to_string().map_err(|error| silent(&error))?;
    Ok((answer.status().as_u16(), text))
}

fn in_time<B: ureq::AsSendBody>(
    agent: &ureq::Agent,
    request: ureq::http::Request<B>,
    deadline: Duration,
) -> ureq::http::Request<B> {
    agent.configure_request(request).timeout_global(Some(haste::patience(deadline))).build()
}

/// The headers that Signature Version 4 adds.
fn signature(
    request: &Request,
    region: &str,
    credentials: Credentials,
    at: SystemTime,
) -> Answer<Vec<(&'static str, String)>> {
    let failed = |error: &dyn fmt::Display| Refused::Silent(format!("cannot sign the request: {error}"));
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(request.service.name())
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?;
    let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Bytes(request.body.as_bytes());
    let signable = SignableRequest::new(request.method, &request.url, headers, body);
    let signed = sign(signable.map_err(|error| failed(&error))?, &parameters.into());
    let (instructions, _) = signed.map_err(|error| failed(&error))?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
