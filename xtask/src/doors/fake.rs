//! For tests: a bucket in memory behind the real S3 client, with S3's own answers to conditional writes,
//! and a server that speaks just enough HTTP to stand for Airflow.

use super::aws::Aws;
use super::store::Store;
use super::time;
use crate::model::digest::Digest;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ErrorMetadata;
use aws_sdk_s3::operation::delete_object::DeleteObjectOutput;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectInput, GetObjectOutput};
use aws_sdk_s3::operation::head_object::{HeadObjectError, HeadObjectInput, HeadObjectOutput};
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Input, ListObjectsV2Output};
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectInput, PutObjectOutput};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat, SdkBody};
use aws_smithy_mocks::{MockResponse, Rule, RuleMode, mock, mock_client};
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Whose bucket it is.
pub(crate) const ACCOUNT: &str = "123456789012";

/// So many keys are in an answer at most.
const PAGE: usize = 1_000;

/// What somebody else does between two requests of ours.
type Intruder = Box<dyn FnOnce(&mut BTreeMap<String, (u64, Vec<u8>)>) + Send>;

/// What mocked clients send their requests with, so that each answer comes a second later by the test's clock. If that
/// stands still otherwise, the seconds that pass are the round trips that were made one after the other.
#[derive(Debug)]
pub(crate) struct Late(SharedHttpConnector);

impl Late {
    pub(crate) fn client() -> SharedHttpClient {
        http_client_fn(|settings, components| {
            let mocked = aws_smithy_mocks::create_mock_http_client();
            SharedHttpConnector::new(Self(mocked.http_connector(settings, components)))
        })
    }
}

impl HttpConnector for Late {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mocked = self.0.clone();
        HttpConnectorFuture::new(async move {
            time::sleep(Duration::from_secs(1)).await;
            mocked.call(request).await
        })
    }
}

#[derive(Clone, Default)]
pub(crate) struct Bucket(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (u64, Vec<u8>)>,
    writes: u64,
    /// Objects that were asked for.
    reads: usize,
    log: Vec<String>,
    before_put: Vec<Intruder>,
    /// S3's own clock, in seconds, and when it last wrote what.
    clock: i64,
    modified: BTreeMap<String, i64>,
    broken: bool,
    answer_lost: bool,
    late: bool,
}

impl Bucket {
    /// One that answers late.
    pub(crate) fn late() -> Self {
        let bucket = Self::default();
        bucket.0.lock().unwrap().late = true;
        bucket
    }

    /// The store of the environment `dev` over this bucket.
    pub(crate) fn store(&self) -> Store {
        Store::new(&self.aws(), ACCOUNT, "dev")
    }

    pub(crate) fn aws(&self) -> Aws {
        let mut aws = Aws::nowhere();
        aws.s3 = self.client();
        aws
    }

    fn client(&self) -> Client {
        self.client_with(Vec::new())
    }

    /// The same with answers to more operations.
    pub(crate) fn client_with(&self, more: Vec<Rule>) -> Client {
        let rules: Vec<Rule> = self.rules().into_iter().chain(more).collect();
        let late = self.0.lock().unwrap().late;
        mock_client!(aws_sdk_s3, RuleMode::MatchAny, &rules, |config| {
            let config = config.retry_config(aws_config::retry::RetryConfig::disabled());
            if late { config.http_client(Late::client()) } else { config }
        })
    }

    fn rules(&self) -> Vec<Rule> {
        let [get, put, delete, list, head] = std::array::from_fn(|_| self.clone());
        vec![
            mock!(Client::get_object).then_compute_response(move |request| get.get_object(request)),
            mock!(Client::put_object).then_compute_response(move |request| put.put_object(request)),
            mock!(Client::delete_object).then_compute_output(move |request| {
                let key = request.key().unwrap_or_default();
                delete.log(format!("delete {key}"));
                delete.0.lock().unwrap().objects.remove(key);
                DeleteObjectOutput::builder().build()
            }),
            mock!(Client::list_objects_v2).then_compute_response(move |request| list.list(request)),
            mock!(Client::head_object).then_compute_response(move |request| head.head_object(request)),
        ]
    }

    fn log(&self, line: String) {
        self.0.lock().unwrap().log.push(line);
    }

    fn get_object(&self, request: &GetObjectInput) -> MockResponse<GetObjectOutput, GetObjectError> {
        let key = request.key().unwrap_or_default();
        let mut state = self.0.lock().unwrap();
        state.reads += 1;
        let Some((tag, bytes)) = state.objects.get(key) else {
            return MockResponse::Error(GetObjectError::generic(error("NoSuchKey")));
        };
        let date = |seconds| DateTime::from_secs(seconds).fmt(DateTimeFormat::HttpDate).unwrap();
        let modified = state.modified.get(key).copied().unwrap_or(state.clock);
        let mut answer = HttpResponse::new(StatusCode::try_from(200).unwrap(), bytes.clone().into());
        let headers = answer.headers_mut();
        headers.insert("etag", format!("\"{tag}\""));
        headers.insert("last-modified", date(modified));
        headers.insert("date", date(state.clock));
        MockResponse::Http(answer)
    }

    /// Every object has the SHA-256 that S3 made of it; it says so only if it is asked to.
    fn head_object(&self, request: &HeadObjectInput) -> MockResponse<HeadObjectOutput, HeadObjectError> {
        let state = self.0.lock().unwrap();
        let Some((tag, bytes)) = state.objects.get(request.key().unwrap_or_default()) else {
            let absent = StatusCode::try_from(404).unwrap();
            return MockResponse::Http(HttpResponse::new(absent, SdkBody::empty()));
        };
        let sha256 = request.checksum_mode().map(|_| STANDARD.encode(Digest::of(bytes).bytes()));
        let answer = HeadObjectOutput::builder().e_tag(format!("\"{tag}\"")).set_checksum_sha256(sha256);
        MockResponse::Output(answer.content_length(i64::try_from(bytes.len()).unwrap()).build())
    }

    fn put_object(&self, request: &PutObjectInput) -> MockResponse<PutObjectOutput, PutObjectError> {
        let key = request.key().unwrap_or_default().to_owned();
        let mut state = self.0.lock().unwrap();
        if let Some(intruder) = state.before_put.pop() {
            intruder(&mut state.objects);
        }
        let refused = |code| MockResponse::Error(PutObjectError::generic(error(code)));
        if state.broken {
            return refused("InternalError");
        }
        let tag = state.objects.get(&key).map(|(tag, _)| format!("\"{tag}\""));
        let (condition, holds) = match (request.if_none_match(), request.if_match()) {
            (Some("*"), _) => ("if absent ".to_owned(), tag.is_none()),
            (_, Some(expected)) => (format!("if {expected} "), tag.as_deref() == Some(expected)),
            _ => (String::new(), true),
        };
        state.log.push(format!("{condition}put {key}"));
        if !holds {
            return refused(if tag.is_none() { "NoSuchKey" } else { "PreconditionFailed" });
        }
        state.writes += 1;
        let tag = state.writes;
        let body = request.body().bytes().map(<[u8]>::to_vec).unwrap_or_default();
        let now = state.clock;
        state.modified.insert(key.clone(), now);
        state.objects.insert(key, (tag, body));
        if std::mem::take(&mut state.answer_lost) {
            // What the SDK's second attempt of the same request is told.
            return refused("PreconditionFailed");
        }
        MockResponse::Output(PutObjectOutput::builder().e_tag(format!("\"{tag}\"")).build())
    }

    fn list(&self, request: &ListObjectsV2Input) -> MockResponse<ListObjectsV2Output, ListObjectsV2Error> {
        let prefix = request.prefix().unwrap_or_default();
        let state = self.0.lock().unwrap();
        let after = request.continuation_token().unwrap_or_default();
        let objects = state.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let mut objects: Vec<_> = objects.take(PAGE + 1).collect();
        let more = objects.len() > PAGE;
        objects.truncate(PAGE);
        let next = objects
            .last()
            .filter(|_| more)
            .map(|(key, _)| format!("<NextContinuationToken>{key}</NextContinuationToken>"));
        let next = next.unwrap_or_default();
        let object = |(key, (tag, _)): (&String, &(u64, Vec<u8>))| {
            let modified = state.modified.get(key).copied().unwrap_or(state.clock);
            let modified = DateTime::from_secs(modified).fmt(DateTimeFormat::DateTime).unwrap();
            let rows = format!("<Key>{key}</Key><LastModified>{modified}</LastModified>");
            format!("<Contents>{rows}<ETag>&quot;{tag}&quot;</ETag></Contents>")
        };
        let objects: String = objects.into_iter().map(object).collect();
        let page = format!("<IsTruncated>{more}</IsTruncated>{next}");
        let body = format!("<ListBucketResult>{page}{objects}</ListBucketResult>");
        let mut answer = HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::from(body));
        let date = DateTime::from_secs(state.clock).fmt(DateTimeFormat::HttpDate).unwrap();
        answer.headers_mut().insert("date", date);
        MockResponse::Http(answer)
    }

    pub(crate) fn set<T: Serialize>(&self, key: &str, value: &T) {
        self.set_bytes(key, &serde_json::to_vec(value).unwrap());
    }

    pub(crate) fn set_bytes(&self, key: &str, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.writes += 1;
        let (tag, now) = (state.writes, state.clock);
        state.modified.insert(key.to_owned(), now);
        state.objects.insert(key.to_owned(), (tag, bytes.to_vec()));
    }

    /// The document under a key, `Null` where there is none.
    pub(crate) fn get(&self, key: &str) -> Value {
        let state = self.0.lock().unwrap();
        let bytes = state.objects.get(key).map(|(_, bytes)| bytes.clone());
        bytes.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    }

    /// The object under a key as text.
    pub(crate) fn text(&self, key: &str) -> String {
        String::from_utf8(self.0.lock().unwrap().objects[key].1.clone()).unwrap()
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.lock().unwrap().reads
    }

    /// Writes and deletions so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().log.clone()
    }

    /// Somebody else writes `value` just before our next write, whatever its key.
    pub(crate) fn intrude<T: Serialize>(&self, key: &str, value: &T) {
        let (key, bytes) = (key.to_owned(), serde_json::to_vec(value).unwrap());
        let intruder: Intruder = Box::new(move |objects| {
            objects.insert(key, (u64::MAX, bytes));
        });
        self.0.lock().unwrap().before_put.push(intruder);
    }

    /// The next write is done, and its answer never arrives.
    pub(crate) fn lose_answer(&self) {
        self.0.lock().unwrap().answer_lost = true;
    }

    /// From now on no write gets through.
    pub(crate) fn break_writes(&self) {
        self.0.lock().unwrap().broken = true;
    }

    pub(crate) fn mend_writes(&self) {
        self.0.lock().unwrap().broken = false;
    }

    /// The clock of S3 goes on.
    pub(crate) fn pass(&self, duration: Duration) {
        self.0.lock().unwrap().clock += duration.as_secs().cast_signed();
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }
}

fn error(code: &str) -> ErrorMetadata {
    ErrorMetadata::builder().code(code).message("m").build()
}

/// One request as the server saw it: `GET /path?query`, the token, the body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorization: String,
    /// The operation, of a JSON service of AWS.
    pub(crate) target: String,
    pub(crate) body: Value,
}

/// Answers every request on a port of its own until the process ends.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read_request(&stream) else { continue };
                let (status, body) = answer(&request);
                log.lock().unwrap().push(request);
                // Text is XML, of a service with a query API.
                let body = if let Value::String(text) = body { text } else { body.to_string() };
                write_answer(&stream, status, &body);
            }
        });
        Self { url, asked }
    }

    /// Answers requests of this operation only when so many different ones have come: they are sent at the same time, or
    /// get no answer.
    pub(crate) fn gathering(
        operation: &'static str,
        number: usize,
        answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new((answer, Mutex::new(BTreeSet::new()), Condvar::new()));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    let (answer, come, more) = &*shared;
                    if request.target.ends_with(operation) {
                        let mut come = come.lock().unwrap();
                        come.insert(request.body.to_string());
                        more.notify_all();
                        drop(more.wait_while(come, |come| come.len() < number));
                    }
                    let (status, body) = answer(&request);
                    write_answer(&stream, status, &body.to_string());
                });
            }
        });
        url
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn write_answer(mut stream: &TcpStream, status: u16, body: &str) {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close");
    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

pub(crate) fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let (mut asked, mut length) = (Asked::default(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        match name.to_lowercase().as_str() {
            "" if asked.line.is_empty() => return None,
            "" => break,
            "authorization" => value.clone_into(&mut asked.authorization),
            "x-amz-target" => value.clone_into(&mut asked.target),
            "content-length" => length = value.parse().ok()?,
            _ if asked.line.is_empty() => asked.line = line.trim_end_matches(" HTTP/1.1").to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = serde_json::from_slice(&body).unwrap_or_else(|_| match body.is_empty() {
        true => Value::Null,
        false => String::from_utf8_lossy(&body).into(),
    });
    Some(asked)
}
