//! Lets nothing out on behalf of a lease that somebody else may hold by now.
//!
//! A process can be stopped for as long as a laptop sleeps, between any two instructions. So the lease is asked where
//! requests leave, each attempt anew, and not only where steps begin.

use aws_sdk_s3::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Tells whether the lease is still ours; renews it if that is doubtful.
pub type Proof = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What a request that was kept back says.
pub const CLOSED: &str = "not sent: the lease was lost";

#[derive(Clone)]
struct Closed {
    /// The object of the lease itself, with which the proof is made.
    lease: String,
    proof: Proof,
}

/// Open as long as no lease is held. Cheap to clone; clones are the same fence.
#[derive(Clone, Default)]
pub struct Fence(Arc<Mutex<Option<Closed>>>);

impl Fence {
    /// From now on requests leave only with this proof, but for those of the object `lease`.
    pub fn close(&self, lease: &str, proof: Proof) {
        *self.lock() = Some(Closed { lease: format!("/{lease}"), proof });
    }

    /// No lease is held any more, or needed.
    pub fn open(&self) {
        *self.lock() = None;
    }

    /// Whether something may be written.
    pub async fn holds(&self) -> bool {
        self.lets("").await
    }

    async fn lets(&self, path: &str) -> bool {
        let closed = self.lock().clone();
        match closed {
            Some(Closed { lease, proof }) if !path.ends_with(&lease) => proof().await,
            _ => true,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Closed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same client behind this fence.
    pub(super) fn around(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(FencedClient { client, fence: self.clone() })
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fence")
    }
}

#[derive(Debug)]
struct FencedClient {
    client: SharedHttpClient,
    fence: Fence,
}

impl HttpClient for FencedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(FencedConnector { connector, fence: self.fence.clone() })
    }
}

#[derive(Debug)]
struct FencedConnector {
    connector: SharedHttpConnector,
    fence: Fence,
}

impl HttpConnector for FencedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connector, fence) = (self.connector.clone(), self.fence.clone());
        HttpConnectorFuture::new(async move {
            let path = request.uri().split('?').next().unwrap_or_default().to_owned();
            if fence.lets(&path).await {
                connector.call(request).await
            } else {
                // A mistake of the caller, as far as the SDK knows: it does not try again.
                Err(ConnectorError::user(CLOSED.into()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::aws::Aws;
    use crate::doors::fake::ACCOUNT;
    use crate::doors::store::Store;
    use aws_smithy_http_client::test_util::infallible_client_fn;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// S3 and CloudFormation that take everything and keep a list.
    fn aws() -> (Aws, Arc<Mutex<Vec<String>>>) {
        let sent: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = sent.clone();
        let client = infallible_client_fn(move |request: ureq::http::Request<_>| {
            log.lock().unwrap().push(request.uri().path().to_owned());
            ureq::http::Response::builder().status(200).body("").unwrap()
        });
        (Aws::over_client(client), sent)
    }

    #[tokio::test]
    async fn nothing_leaves_without_the_proof_but_what_the_proof_is_made_of() {
        let (aws, sent) = aws();
        let store = Store::new(&aws, ACCOUNT, "dev");
        let write = async |key: &str| store.put(key, &1).await;
        let ours = Arc::new(AtomicBool::new(true));
        let asked = ours.clone();
        let proof: Proof = Arc::new(move || {
            let answer = asked.load(Ordering::Relaxed);
            Box::pin(async move { answer })
        });
        write("a").await.unwrap();
        aws.fence.close("environments/dev/lock.json", proof);
        write("b").await.unwrap();
        ours.store(false, Ordering::Relaxed);
        let fail = write("c").await.unwrap_err();
        assert!(fail.to_string().contains(CLOSED), "{fail}");
        write("environments/dev/lock.json").await.unwrap();
        assert!(aws.cloudformation.delete_stack().stack_name("s").send().await.is_err());
        assert!(aws.signed.query(super::super::signed::Service::Rds, "1", "A", &[]).await.is_err());
        let paths = sent.lock().unwrap().clone();
        let last: Vec<&str> = paths.iter().filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(last, ["a", "b", "lock.json"], "one attempt each, and none of the others");
        aws.fence.open();
        write("d").await.unwrap();
    }
}
