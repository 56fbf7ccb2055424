//! Plain HTTP with a deadline, for the few services that are not AWS: Airflow and the local cloud.

use crate::fail::{Fail, Result};
use std::time::Duration;

/// Within this time a connection is made, or no way leads there.
const CONNECT: Duration = Duration::from_secs(4);

/// An answer: its status and its body as JSON, `Null` where the body is none.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: serde_json::Value,
}

#[derive(Clone, Debug)]
pub struct Http {
    agent: ureq::Agent,
}

impl Http {
    /// A client whose every request ends within `deadline`.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(deadline))
            .timeout_resolve(Some(CONNECT.min(deadline)))
            .timeout_connect(Some(CONNECT.min(deadline)))
            .http_status_as_error(false)
            .build();
        Self { agent: config.into() }
    }

    /// Why no way leads to a server: its name means nothing here, or whatever is sent there is lost. One that refuses,
    /// answers with an error or is slow is reached.
    #[must_use]
    pub fn unreachable(&self, url: &str) -> Option<String> {
        use std::io::ErrorKind;
        match self.agent.get(url).call() {
            Err(ureq::Error::HostNotFound) => Some("its name is not known here".to_owned()),
            Err(ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect)) => {
                Some(format!("no connection within {} s", CONNECT.as_secs()))
            }
            Err(ureq::Error::Io(error)) => match error.kind() {
                ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    Some(error.to_string())
                }
                // What looks a name up has no kinds: a name that is not there, or nobody who knows.
                _ if error.to_string().contains("failed to lookup address") => {
                    Some("its name is not known here".to_owned())
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub fn get(&self, url: &str, bearer: Option<&str>) -> Result<Answer> {
        let mut request = self.agent.get(url);
        if let Some(token) = bearer {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        answer(url, request.call())
    }

    pub fn delete(&self, url: &str, bearer: Option<&str>) -> Result<Answer> {
        let mut request = self.agent.delete(url);
        if let Some(token) = bearer {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        answer(url, request.call())
    }

    pub fn send(
        &self,
        method: &str,
        url: &str,
        bearer: Option<&str>,
        body: &serde_json::Value,
    ) -> Result<Answer> {
        let mut request = match method {
            "PUT" => self.agent.put(url),
            "PATCH" => self.agent.patch(url),
            _ => self.agent.post(url),
        };
        if let Some(token) = bearer {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        answer(url, request.send_json(body))
    }
}

fn answer(url: &str, result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer> {
    let mut response = result.map_err(|e| Fail::failed(format!("no answer from `{url}`")).because(e))?;
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(serde_json::Value::Null);
    Ok(Answer { status, body })
}

/// For a segment of a path or a form: everything but what RFC 3986 leaves as it is. Ids of runs hold `:` and `+`.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Server;
    use serde_json::json;

    #[test]
    fn only_what_cannot_be_reached_is_unreachable() {
        let http = Http::new(Duration::from_secs(5));
        let server = Server::new(|_| (500, json!({})));
        assert_eq!(http.unreachable(&server.url), None, "an error is an answer");
        assert_eq!(http.unreachable("http://127.0.0.1:1"), None, "somebody refuses: Airflow is down");
        let why = http.unreachable("https://airflow.invalid");
        assert_eq!(why.as_deref(), Some("its name is not known here"));
    }
}
