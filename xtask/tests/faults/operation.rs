//! Which operation of AWS a request of the tool asks for.

use crate::support::proxy::Request;
use std::fmt;

/// What a fault can do to an operation depends on what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Read,
    Write,
    /// A write of S3 that names what must be there, or that nothing must.
    Conditional,
}

/// How a service is spoken to, and says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    S3,
    Json,
    Query,
    Ec2,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// As in signatures.
    pub service: String,
    pub name: String,
    /// S3: the kind of object.
    pub object: String,
    pub kind: Kind,
    pub protocol: Protocol,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, name, object, .. } = self;
        f.pad(format!("{service}:{name} {object}").trim_end())
    }
}

/// Begins the names of what only looks.
const READS: [&str; 5] = ["Describe", "Get", "List", "BatchGet", "Head"];

impl Operation {
    /// None of a request that the tool did not sign.
    pub fn of(request: &Request) -> Option<Self> {
        let agents = [request.header("user-agent"), request.header("x-amz-user-agent")];
        agents.into_iter().flatten().find(|agent| agent.contains("app/"))?;
        // Credential=KEY/DATE/REGION/SERVICE/aws4_request
        let service = request.header("authorization")?.split('/').nth(3)?.to_owned();
        let (name, object) = match service.as_str() {
            "s3" => of_s3(request),
            _ => (named(request)?, String::new()),
        };
        let is_conditional = ["if-match", "if-none-match"].iter().any(|name| request.header(name).is_some());
        let kind = match READS.iter().any(|read| name.starts_with(read)) {
            true => Kind::Read,
            false if is_conditional => Kind::Conditional,
            false => Kind::Write,
        };
        let protocol = match service.as_str() {
            "s3" => Protocol::S3,
            "ec2" => Protocol::Ec2,
            _ if request.header("x-amz-target").is_some() => Protocol::Json,
            _ => Protocol::Query,
        };
        Some(Self { service, name, object, kind, protocol })
    }

    /// As messages call the service.
    pub fn title(&self) -> &str {
        match self.service.as_str() {
            "s3" => "S3",
            "cloudformation" => "CloudFormation",
            "codedeploy" => "CodeDeploy",
            "secretsmanager" => "Secrets Manager",
            "autoscaling" => "Auto Scaling",
            "ecs" => "ECS",
            "ecr" => "ECR",
            "rds" => "RDS",
            "ssm" => "SSM",
            "application-autoscaling" => "Application Auto Scaling",
            other => other,
        }
    }
}

/// By `X-Amz-Target`, or the form's `Action`.
fn named(request: &Request) -> Option<String> {
    if let Some(target) = request.header("x-amz-target") {
        return target.rsplit('.').next().map(str::to_owned);
    }
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.map(str::to_owned)
}

fn of_s3(request: &Request) -> (String, String) {
    let mut words = request.line().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let asked = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    let name = match (method, key.is_empty()) {
        ("GET", true) if asked("versions") => "ListObjectVersions",
        ("GET", true) if asked("uploads") => "ListMultipartUploads",
        ("GET", true) => "ListObjectsV2",
        ("HEAD", true) => "HeadBucket",
        ("DELETE", true) => "DeleteBucket",
        ("POST", true) => "DeleteObjects",
        ("GET", false) => "GetObject",
        ("HEAD", false) => "HeadObject",
        ("DELETE", false) => "DeleteObject",
        ("PUT", false) => "PutObject",
        _ => "other",
    };
    (name.to_owned(), if key.is_empty() { String::new() } else { object(bucket, key) })
}

/// What is kept under a key of the artifact bucket.
fn object(bucket: &str, key: &str) -> String {
    if !bucket.starts_with("ductwork-0") {
        return "of another bucket".to_owned();
    }
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["environments", _, "releases" | "deployments" | "dumps", ..] => parts[2].to_owned(),
        ["environments", _, rest @ ..] => rest.join("/"),
        ["bundles", name] if name.ends_with(".json") => "lists of DAGs".to_owned(),
        _ => parts[0].to_owned(),
    }
}
