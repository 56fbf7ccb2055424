//! Requests to Airflow by way of the artifact bucket, as `ductwork_airflow/receipts/relay.py` takes and answers them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// So long, in seconds, the API server may take a request.
pub const LIVES: i64 = 60;

/// The document of the requests: few at a time, since each is answered within seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    pub requests: Vec<Request>,
}

/// One request to the API below `/api/v2/`, with no login: whoever passes it on has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    /// In seconds since 1970, by the clock of whoever asks; only old ones are cleared by it.
    pub at: i64,
    pub method: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

impl Inbox {
    /// With one request more, and without those that nobody waits for any longer.
    #[must_use]
    pub fn with(self, request: &Request) -> Self {
        let is_fresh = |other: &Request| (request.at - other.at).abs() < LIVES;
        let kept = self.requests.into_iter().filter(is_fresh);
        Self { requests: kept.chain([request.clone()]).collect() }
    }
}

/// What an API server answered, or that one is at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The host or the task.
    pub by: String,
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(default)]
    pub body: Value,
    /// Why the API server there does not answer.
    #[serde(default)]
    pub fault: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_others_stay_until_nobody_waits_for_them() {
        let request = |id: &str, at| {
            let (method, path) = ("GET".to_owned(), "/api/v2/version".to_owned());
            Request { id: id.to_owned(), at, method, path, body: Value::Null }
        };
        let inbox = Inbox::default().with(&request("a", 100)).with(&request("b", 159));
        let ids = |inbox: &Inbox| inbox.requests.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&inbox), ["a", "b"]);
        assert_eq!(ids(&inbox.with(&request("c", 160))), ["b", "c"]);
    }
}
