//! Follows an operation on a stack and on all stacks nested in it, to its end.
//!
//! Every stack has a stream of events, read by ARN so that it is found after the stack is gone. The
//! state of the root stack decides; the events are only watched, and no trouble in watching fails a
//! deployment. Dropping the future at any point stops the watching and nothing else.
//!
//! A tree can have hundreds of stacks. So a look reads a few streams, those that were not read for longest,
//! and what failed before anything else; where all went well, what was not read by then stays unread.

use super::progress::StackProgress;
use crate::doors::aws;
use crate::doors::backoff::Backoff;
use crate::doors::haste;
use crate::doors::pace::Pace;
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::stack::{Followed, Moment, STACK_TYPE, StackEvent, Status, UnknownStatus};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::StackEvent as SdkEvent;
use std::collections::HashSet;
use std::time::Duration;
use tokio::task::JoinSet;

/// What to follow, and where to tell it.
#[derive(Clone, Copy, Debug)]
pub struct StackWatch<'a> {
    /// The ARN of the root stack.
    pub stack: &'a str,
    pub since: Since,
    /// How many resources will be touched, as far as known.
    pub expected: usize,
    pub sink: &'a Sink,
    pub pace: &'a Pace,
}

/// Which events belong to the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Those after this moment, by the service's clock.
    After(Moment),
    /// Those from the start of the stack's latest operation on.
    LastStart,
}

/// A state that is an end may still be that of the operation before this one: the events must say the
/// same. Where they say nothing for so long, it is believed.
const STALE: Duration = Duration::from_secs(60);
/// How long the root stack may be out of sight.
const BLIND: Duration = Duration::from_secs(300);
/// How many streams of nested stacks are read in one look.
const STREAMS: usize = 4;
/// Whose turns they are.
pub(super) const CLOUDFORMATION: &str = "cloudformation";
/// Errors that do not pass by themselves, such as expired credentials, in a row.
const REFUSALS: usize = 3;

/// Watches until the root stack comes to rest.
pub async fn follow(client: &Client, watch: &StackWatch<'_>) -> Result<Followed> {
    let start = Stopwatch::start();
    let since = match watch.since {
        Since::After(moment) => moment,
        Since::LastStart => last_start(client, watch).await,
    };
    let mut follower = Follower::new(client, watch, since);
    let mut sight = Sight::new();
    let mut backoff = Backoff::polling();
    let mut quiet = Stopwatch::start();
    loop {
        // The state first: what the events say after it is then the whole story.
        let state = sight.look(client, watch).await?;
        if follower.poll().await {
            backoff.hurry();
            quiet = Stopwatch::start();
        }
        if let Some((status, reason)) = state
            && (follower.confirms(status) || (!status.in_progress() && quiet.elapsed() > haste::pause(STALE)))
        {
            follower.rest().await;
            let stack = watch.stack.to_owned();
            return Ok(Followed { stack, status, reason, events: follower.told(), took: start.elapsed() });
        }
        backoff.wait().await;
    }
}

/// Keeps the root stack in sight, and bears with trouble for a while.
struct Sight {
    last: Stopwatch,
    refused: usize,
    told: bool,
}

impl Sight {
    fn new() -> Self {
        Self { last: Stopwatch::start(), refused: 0, told: false }
    }

    /// State and reason; nothing where it cannot be told just now.
    async fn look(
        &mut self,
        client: &Client,
        watch: &StackWatch<'_>,
    ) -> Result<Option<(Status, Option<String>)>> {
        watch.pace.turn(CLOUDFORMATION).await;
        let error = match client.describe_stacks().stack_name(watch.stack).send().await {
            Ok(output) => {
                *self = Self::new();
                let Some(stack) = output.stacks().first() else {
                    return Ok(Some((Status::DeleteComplete, None)));
                };
                let word = stack.stack_status().map_or("", |status| status.as_str());
                let status: Status =
                    word.parse().map_err(|error: UnknownStatus| lost(watch).because(error))?;
                return Ok(Some((status, stack.stack_status_reason().map(str::to_owned))));
            }
            Err(error) => error,
        };
        if aws::is_absent_stack(&error) {
            return Ok(Some((Status::DeleteComplete, None)));
        }
        self.refused = if aws::passes(&error) { 0 } else { self.refused + 1 };
        let fail = aws::failure("CloudFormation", "cannot look at the stack just now", error);
        if self.refused >= REFUSALS || self.last.elapsed() > haste::pause(BLIND) {
            return Err(fail.context(lost(watch).message()).hint(GOES_ON));
        }
        if !self.told {
            watch.sink.note(format!("{fail}; still trying"));
            self.told = true;
        }
        Ok(None)
    }
}

const GOES_ON: &str = "the operation goes on without this tool: run the same command again to follow it";

fn lost(watch: &StackWatch<'_>) -> Fail {
    Fail::failed(format!("lost track of the stack `{}`", watch.stack))
}

/// The streams of events, and what came out of them.
struct Follower<'a> {
    client: &'a Client,
    watch: &'a StackWatch<'a>,
    since: Moment,
    streams: Vec<Stream>,
    seen: HashSet<String>,
    events: Vec<StackEvent>,
    progress: StackProgress,
    line: String,
    /// How many looks there were.
    looks: usize,
}

/// The events of one stack.
#[derive(Clone)]
struct Stream {
    arn: String,
    /// The logical path of the stack, empty for the root.
    path: String,
    /// The newest event read.
    newest: Option<String>,
    /// Something may still come.
    open: bool,
    /// The parent says that the stack came to rest: it is read once more.
    closing: bool,
    /// The parent said that the stack failed.
    failed: bool,
    /// The look that read it last.
    read: usize,
}

impl Stream {
    fn new(arn: &str, path: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            path: path.to_owned(),
            newest: None,
            open: true,
            closing: false,
            failed: false,
            read: 0,
        }
    }
}

impl<'a> Follower<'a> {
    fn new(client: &'a Client, watch: &'a StackWatch<'a>, since: Moment) -> Self {
        Self {
            client,
            watch,
            since,
            streams: vec![Stream::new(watch.stack, "")],
            seen: HashSet::new(),
            events: Vec::new(),
            progress: StackProgress::new(watch.expected),
            line: String::new(),
            looks: 0,
        }
    }

    /// Reads the stream of the root and some of those that are open, or that this opens. Whether anything was new.
    async fn poll(&mut self) -> bool {
        let before = self.events.len();
        self.looks += 1;
        let mut left = STREAMS;
        loop {
            let due = self.due(left);
            if due.is_empty() {
                break;
            }
            left -= due.iter().filter(|index| **index > 0).count();
            self.read(&due).await;
        }
        self.tell();
        self.events.len() > before
    }

    /// The root, and at most so many others: what failed, then what was not read for longest.
    fn due(&self, most: usize) -> Vec<usize> {
        let is_due = |stream: &Stream| stream.open && stream.read < self.looks;
        let mut due: Vec<usize> = (0..self.streams.len()).filter(|i| is_due(&self.streams[*i])).collect();
        due.sort_by_key(|i| (*i > 0, !self.streams[*i].failed, self.streams[*i].read));
        due.truncate(most + usize::from(due.first() == Some(&0)));
        due
    }

    /// Reads what is still to be read of stacks that failed: the reason is in there.
    async fn rest(&mut self) {
        self.looks += 1;
        loop {
            let due = self.due(self.streams.len());
            let failed: Vec<usize> = due.into_iter().filter(|index| self.streams[*index].failed).collect();
            if failed.is_empty() {
                break;
            }
            self.read(&failed).await;
        }
    }

    async fn read(&mut self, due: &[usize]) {
        let mut tasks = JoinSet::new();
        for index in due {
            let (index, looks) = (*index, self.looks);
            self.streams[index].read = looks;
            let (client, stream, since) = (self.client.clone(), self.streams[index].clone(), self.since);
            let pace = self.watch.pace.clone();
            tasks.spawn(async move { (index, pages(&client, &pace, &stream, since).await) });
        }
        let mut answers = Vec::new();
        while let Some(done) = tasks.join_next().await {
            answers.extend(done);
        }
        // Parents before children, whoever answered first.
        answers.sort_by_key(|(index, _)| *index);
        let mut fresh = Vec::new();
        for (index, answer) in answers {
            let Ok(events) = answer else { continue };
            let stream = &mut self.streams[index];
            if let Some(newest) = events.first() {
                stream.newest = newest.event_id().map(str::to_owned);
            }
            stream.open = !stream.closing;
            let since = self.since;
            let after = |event: &&SdkEvent| moment(event) > since;
            // Oldest first: what happened in one millisecond keeps its order when sorted by time.
            fresh.extend(events.iter().rev().filter(after).map(|event| convert(event, &stream.path)));
        }
        fresh.sort_by_key(|event| event.at);
        for event in fresh {
            self.take(event);
        }
    }

    fn take(&mut self, event: StackEvent) {
        if !self.seen.insert(event.id.clone()) {
            return;
        }
        if event.kind == STACK_TYPE && event.physical.starts_with("arn:") && !event.is_own_row() {
            self.child(&event);
        }
        if let Some(note) = self.progress.take(&event) {
            self.watch.sink.note(note);
        }
        self.events.push(event);
    }

    /// A nested stack begins to move, or moves again: read its events.
    fn child(&mut self, event: &StackEvent) {
        let known = self.streams.iter().position(|stream| stream.arn == event.physical);
        let index = known.unwrap_or_else(|| {
            self.streams.push(Stream::new(&event.physical, &event.path));
            self.streams.len() - 1
        });
        let stream = &mut self.streams[index];
        stream.failed |= event.failed();
        stream.closing = !event.status.ends_with("_IN_PROGRESS");
        stream.open |= !stream.closing;
    }

    fn tell(&mut self) {
        let line = self.progress.line();
        if line != self.line {
            self.watch.sink.progress(line.clone());
            self.line = line;
        }
    }

    /// Whether the root stack is at rest in this state, by its own last word.
    fn confirms(&self, status: Status) -> bool {
        // A deleted stack stays deleted, and its events may be gone with it.
        let last = self.events.iter().rev().find(|event| event.path.is_empty());
        status == Status::DeleteComplete
            || (!status.in_progress() && last.is_some_and(|event| event.status == status.word()))
    }

    /// All events, by time.
    fn told(self) -> Vec<StackEvent> {
        let mut events = self.events;
        events.sort_by_key(|event| event.at);
        events
    }
}

/// The events of a stream that were not read before, newest first. A page that has one that was is
/// taken whole, since late events can come to stand behind it.
async fn pages(client: &Client, pace: &Pace, stream: &Stream, since: Moment) -> Result<Vec<SdkEvent>, ()> {
    let mut pages = client.describe_stack_events().stack_name(&stream.arn).into_paginator().send();
    let mut events = Vec::new();
    loop {
        pace.turn(CLOUDFORMATION).await;
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|_| ())?.stack_events.unwrap_or_default();
        let known = |event: &SdkEvent| event.event_id() == stream.newest.as_deref() || moment(event) <= since;
        let last = page.iter().any(known);
        events.extend(page);
        if last {
            break;
        }
    }
    Ok(events)
}

fn moment(event: &SdkEvent) -> Moment {
    Moment(event.timestamp().and_then(|time| time.to_millis().ok()).unwrap_or_default())
}

fn convert(event: &SdkEvent, stack_path: &str) -> StackEvent {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let logical = event.logical_resource_id().unwrap_or_default();
    let own_row = event.physical_resource_id() == event.stack_id();
    let path = match (own_row, stack_path) {
        (true, path) => path.to_owned(),
        (false, "") => logical.to_owned(),
        (false, path) => format!("{path}/{logical}"),
    };
    StackEvent {
        id: text(event.event_id()),
        at: moment(event),
        stack: text(event.stack_id()),
        path,
        physical: text(event.physical_resource_id()),
        kind: text(event.resource_type()),
        status: text(event.resource_status().map(aws_sdk_cloudformation::types::ResourceStatus::as_str)),
        reason: event.resource_status_reason().filter(|reason| !reason.is_empty()).map(str::to_owned),
    }
}

/// Just before the latest operation began; the beginning of time where that cannot be told.
async fn last_start(client: &Client, watch: &StackWatch<'_>) -> Moment {
    const STARTS: [&str; 4] =
        ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
    let is_start = |event: &&SdkEvent| {
        let status = event.resource_status().map_or("", |status| status.as_str());
        event.physical_resource_id() == Some(watch.stack) && STARTS.contains(&status)
    };
    let mut pages = client.describe_stack_events().stack_name(watch.stack).into_paginator().send();
    loop {
        watch.pace.turn(CLOUDFORMATION).await;
        let Some(Ok(page)) = pages.next().await else { return Moment(i64::MIN) };
        if let Some(start) = page.stack_events().iter().find(is_start) {
            return Moment(moment(start).0 - 1);
        }
    }
}

/// The moment of the newest event of a stack: what comes after it is a new operation's.
pub(super) async fn newest(client: &Client, arn: &str) -> Since {
    let page = client.describe_stack_events().stack_name(arn).send().await;
    let newest = page.ok().and_then(|page| page.stack_events().first().map(moment));
    newest.map_or(Since::LastStart, Since::After)
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "scale_tests.rs"]
mod scale_tests;
