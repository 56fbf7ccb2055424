//! GitHub Actions: the summary of a job, and the comment of a pull request that is written anew instead of again.

use super::{env, fs};
use crate::fail::{Context as _, Fail, Result};
use crate::model::secret::Secret;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// The longest comment that GitHub takes, in characters.
const LONGEST: usize = 65_000;
const PAGE: usize = 100;

/// Whether this process runs in a job.
#[must_use]
pub fn is_workflow() -> bool {
    env::github_actions()
}

/// Adds to what the page of the job shows. A summary that cannot be written is no reason to fail.
pub fn add_to_summary(markdown: &str) {
    if let Some(file) = env::step_summary()
        && let Ok(mut file) = fs::open_append(&file)
    {
        let _ = writeln!(file, "{markdown}");
    }
}

/// The pull request that a job runs for.
pub struct PullRequest {
    agent: ureq::Agent,
    /// `https://api.github.com/repos/OWNER/NAME`
    repository: String,
    number: u64,
    token: Secret,
}

impl PullRequest {
    /// # Errors
    /// This is no job of a pull request, or it has no token.
    pub fn of_this_job() -> Result<Self> {
        let job = env::github_job().ok_or_else(|| {
            Fail::usage("a comment needs a job of GitHub Actions that runs for a pull request")
                .hint("give the job `env: {GITHUB_TOKEN: ${{ github.token }}}` and `permissions: {pull-requests: write}`")
        })?;
        let event = fs::read(&job.event)?;
        let event: Value =
            serde_json::from_slice(&event).failed(|| "the job's event is damaged".to_owned())?;
        let number = event["pull_request"]["number"].as_u64();
        let number = number.ok_or_else(|| {
            Fail::usage("the job was not started by a pull request").hint("run it `on: pull_request`")
        })?;
        let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        Ok(Self {
            agent: agent.build().into(),
            repository: format!("{}/repos/{}", job.api.trim_end_matches('/'), job.repository),
            number,
            token: job.token,
        })
    }

    /// Puts `body` in place of the comment that begins with `mark`, or below the others if there is none.
    pub fn comment(&self, mark: &str, body: &str) -> Result<()> {
        let text: String = format!("{mark}\n{body}").chars().take(LONGEST).collect();
        let text = json!({ "body": text });
        match self.find(mark)? {
            Some(id) => self.send("PATCH", &format!("issues/comments/{id}"), &text),
            None => self.send("POST", &format!("issues/{}/comments", self.number), &text),
        }
        .map(drop)
    }

    fn find(&self, mark: &str) -> Result<Option<u64>> {
        for page in 1.. {
            let path = format!("issues/{}/comments?per_page={PAGE}&page={page}", self.number);
            let comments = self.send("GET", &path, &Value::Null)?;
            let comments = comments.as_array().cloned().unwrap_or_default();
            let ours =
                comments.iter().find(|one| one["body"].as_str().is_some_and(|text| text.starts_with(mark)));
            if let Some(id) = ours.and_then(|one| one["id"].as_u64()) {
                return Ok(Some(id));
            }
            if comments.len() < PAGE {
                break;
            }
        }
        Ok(None)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let what = || "cannot comment on the pull request".to_owned();
        let url = format!("{}/{path}", self.repository);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("Authorization", format!("Bearer {}", self.token.expose()))
            .header("Accept", "application/vnd.github+json")
            .header("User-Agent", "ductwork");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = self.agent.run(request.body(body).failed(what)?).failed(what)?;
        let text = answer.body_mut().read_to_string().failed(what)?;
        let status = answer.status();
        if status.is_success() {
            return serde_json::from_str(&text).failed(what);
        }
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let fail = Fail::failed(what())
            .cause(format!("GitHub answered {status}: {}", said["message"].as_str().unwrap_or_default()));
        Err(fail.hint("give the job `permissions: {pull-requests: write}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake::Server;
    use std::sync::{Arc, Mutex};

    /// A pull request with these comments; it keeps what is written.
    fn pull_request(comments: Vec<Value>) -> (PullRequest, Server) {
        let comments = Arc::new(Mutex::new(comments));
        let server = Server::new(move |asked| {
            let mut comments = comments.lock().unwrap();
            match asked.line.split(' ').next().unwrap() {
                "GET" => {
                    let page: usize = asked.line.rsplit_once("page=").unwrap().1.parse().unwrap();
                    let pages: Vec<_> = comments.chunks(PAGE).collect();
                    (200, json!(pages.get(page - 1).copied().unwrap_or_default()))
                }
                "POST" => {
                    comments.push(json!({"id": 7, "body": asked.body["body"]}));
                    (201, json!({}))
                }
                _ => (200, json!({})),
            }
        });
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let repository = format!("{}/repos/acme/data", server.url);
        (PullRequest { agent, repository, number: 3, token: Secret::new("t0ken") }, server)
    }

    #[test]
    fn a_comment_is_made_once_and_then_written_anew() {
        let others = (0..120).map(|id| json!({"id": id, "body": "looks good <!-- plan dev -->"})).collect();
        let (request, server) = pull_request(others);
        request.comment("<!-- plan dev -->", "first").unwrap();
        request.comment("<!-- plan dev -->", "second").unwrap();
        let asked = server.asked().into_iter().filter(|asked| !asked.line.starts_with("GET "));
        let written: Vec<(String, Value)> =
            asked.map(|asked| (asked.line, asked.body["body"].clone())).collect();
        let expected = [
            ("POST /repos/acme/data/issues/3/comments", "<!-- plan dev -->\nfirst"),
            ("PATCH /repos/acme/data/issues/comments/7", "<!-- plan dev -->\nsecond"),
        ];
        assert_eq!(written, expected.map(|(line, body)| (line.to_owned(), json!(body))));
        assert!(server.asked().iter().all(|asked| asked.authorization == "Bearer t0ken"));
    }

    #[test]
    fn a_refusal_tells_what_the_job_lacks() {
        let server = Server::new(|_| (403, json!({"message": "Resource not accessible by integration"})));
        let (mut request, _) = pull_request(Vec::new());
        request.repository = format!("{}/repos/acme/data", server.url);
        let fail = request.comment("<!-- plan dev -->", "text").unwrap_err();
        assert_eq!(fail.causes(), ["GitHub answered 403 Forbidden: Resource not accessible by integration"]);
        assert!(!format!("{fail:?}").contains("t0ken"));
    }
}
