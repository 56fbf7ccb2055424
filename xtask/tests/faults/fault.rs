//! What can go wrong with a call, in the words of each kind of service.

use crate::operation::{Kind, Operation, Protocol};
use crate::support::proxy::Fate;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Throttle,
    ServerError,
    /// The connection ends before the service has the request.
    ResetBefore,
    /// The service has done it; the answer is lost.
    ResetAfter,
    Hang,
    Malformed,
    Expired,
    /// Somebody else was there first.
    Refused,
    /// Somebody else is at it at this moment.
    Busy,
}

use Fault::{Busy, Expired, Hang, Malformed, Refused, ResetAfter, ResetBefore, ServerError, Throttle};

pub const ALL: [Fault; 9] =
    [Throttle, ServerError, ResetBefore, ResetAfter, Hang, Malformed, Expired, Refused, Busy];

/// What passes: a tool that asks again gets its answer. The first is what most can go wrong with.
pub const PASSING: [Fault; 7] = [ResetAfter, Throttle, Malformed, ServerError, Busy, ResetBefore, Hang];

impl Fault {
    /// A column of the matrix.
    pub fn heading(self) -> &'static str {
        match self {
            Throttle => "slow",
            Malformed => "torn",
            _ => self.word(),
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Throttle => "throttle",
            ServerError => "500",
            ResetBefore => "before",
            ResetAfter => "after",
            Hang => "hang",
            Malformed => "garbled",
            Expired => "expired",
            Refused => "412",
            Busy => "409",
        }
    }

    /// None if it cannot happen to this operation.
    pub fn fate(self, operation: &Operation) -> Option<Fate> {
        Some(match self {
            Throttle => answer(operation, throttling(operation)),
            ServerError => answer(operation, (500, internal(operation))),
            ResetBefore => Fate::Cut,
            ResetAfter => Fate::Lose,
            Hang => Fate::Hang,
            // What S3 says of a write is in the head of its answer, which is whole or not there.
            Malformed => match (operation.protocol, operation.name.as_str()) {
                (Protocol::S3, "GetObject") => Fate::BreakOff,
                (Protocol::S3, name) if !name.starts_with("List") => return None,
                _ => Fate::Halve,
            },
            Expired => answer(operation, expired(operation)),
            Refused => answer(operation, refused(operation)?),
            Busy => answer(operation, busy(operation)?),
        })
    }
}

type Error = (u16, &'static str);

/// The codes of each service's API reference under "Common errors".
fn throttling(operation: &Operation) -> Error {
    match operation.protocol {
        Protocol::S3 => (503, "SlowDown"),
        Protocol::Json => (400, "ThrottlingException"),
        Protocol::Query => (400, "Throttling"),
        Protocol::Ec2 => (503, "RequestLimitExceeded"),
    }
}

fn internal(operation: &Operation) -> &'static str {
    match operation.protocol {
        Protocol::S3 | Protocol::Ec2 => "InternalError",
        Protocol::Json => "InternalServerError",
        Protocol::Query => "InternalFailure",
    }
}

fn expired(operation: &Operation) -> Error {
    match operation.protocol {
        Protocol::S3 => (400, "ExpiredToken"),
        Protocol::Json => (400, "ExpiredTokenException"),
        Protocol::Query => (403, "ExpiredToken"),
        Protocol::Ec2 => (400, "RequestExpired"),
    }
}

fn refused(operation: &Operation) -> Option<Error> {
    match (operation.kind, operation.name.as_str()) {
        (Kind::Conditional, _) => Some((412, "PreconditionFailed")),
        (_, "CreateChangeSet") => Some((400, "AlreadyExistsException")),
        (_, "ExecuteChangeSet") => Some((400, "InvalidChangeSetStatus")),
        _ => None,
    }
}

fn busy(operation: &Operation) -> Option<Error> {
    match (operation.kind, operation.name.as_str()) {
        (Kind::Conditional, _) => Some((409, "ConditionalRequestConflict")),
        (_, "CreateDeployment") => Some((400, "DeploymentLimitExceededException")),
        _ => None,
    }
}

fn answer(operation: &Operation, (status, code): Error) -> Fate {
    let (kind, body) = match operation.protocol {
        Protocol::Json => {
            ("application/x-amz-json-1.1", format!(r#"{{"__type":"{code}","message":"of the test"}}"#))
        }
        Protocol::S3 => {
            ("application/xml", format!("<Error><Code>{code}</Code><Message>of the test</Message></Error>"))
        }
        Protocol::Query => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>of the test</Message></Error>\
                 <RequestId>0</RequestId></ErrorResponse>"
            ),
        ),
        Protocol::Ec2 => (
            "text/xml",
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>of the test</Message></Error></Errors>\
                 <RequestID>0</RequestID></Response>"
            ),
        ),
    };
    // A HEAD has no body.
    let body = if operation.name.starts_with("Head") { String::new() } else { body };
    Fate::Answer(format!("HTTP/1.1 {status} of the test\r\nContent-Type: {kind}\r\n\r\n{body}").into())
}
