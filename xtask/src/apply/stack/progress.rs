//! How far a stack operation is, from its events: one line for the live view, notes for failures.

use crate::doors::time::Stopwatch;
use crate::model::stack::{STACK_TYPE, StackEvent};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many resources in progress are named.
const NAMED: usize = 3;

pub(super) struct StackProgress {
    expected: usize,
    resources: BTreeMap<String, Resource>,
    rolling_back: bool,
}

struct Resource {
    kind: String,
    status: String,
    /// Since it entered this state, by the clock of this machine.
    watch: Stopwatch,
}

impl StackProgress {
    /// `expected` resources will be touched, as far as the change set knows; 0 where nobody knows.
    pub(super) fn new(expected: usize) -> Self {
        Self { expected, resources: BTreeMap::new(), rolling_back: false }
    }

    /// Takes an event in; gives the note to keep, where it is one.
    pub(super) fn take(&mut self, event: &StackEvent) -> Option<String> {
        if event.path.is_empty() {
            self.rolling_back = event.status.contains("ROLLBACK");
            return None;
        }
        if event.is_own_row() {
            return None;
        }
        let resource =
            Resource { kind: event.kind.clone(), status: event.status.clone(), watch: Stopwatch::start() };
        self.resources.insert(event.path.clone(), resource);
        let reason = event.reason.as_deref().unwrap_or_default();
        let tells =
            event.failed() && event.kind != STACK_TYPE && !reason.to_lowercase().contains("cancelled");
        tells.then(|| format!("{} {}: {reason}", event.path, event.status))
    }

    /// A line such as `12/34 resources, creating Database/Instance (3 min 12 s)`.
    pub(super) fn line(&self) -> String {
        let done = self.resources.values().filter(|resource| resource.status.ends_with("_COMPLETE")).count();
        let all = self.expected.max(self.resources.len());
        let head = match (self.rolling_back, all) {
            (true, _) => "rolling back".to_owned(),
            (false, 0) => "waiting for the first event".to_owned(),
            (false, _) => format!("{done}/{all} resources"),
        };
        let mut running = self.running();
        let more = running.len().saturating_sub(NAMED);
        running.truncate(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let running: Vec<String> = std::iter::once(head).chain(running).collect();
        format!("{}{more}", running.join(", "))
    }

    /// What goes on, the longest-running first; a nested stack only where nothing inside it does.
    fn running(&self) -> Vec<String> {
        let mut running: Vec<(&String, &Resource)> =
            self.resources.iter().filter(|(_, resource)| resource.status.ends_with("_IN_PROGRESS")).collect();
        let any_inside = running.iter().any(|(_, resource)| resource.kind != STACK_TYPE);
        running.retain(|(_, resource)| !any_inside || resource.kind != STACK_TYPE);
        running.sort_by_key(|(_, resource)| std::cmp::Reverse(resource.watch.elapsed()));
        let tell = |(path, resource): (&String, &Resource)| {
            format!("{} {path}{}", verb(&resource.status), spoken(resource.watch.elapsed()))
        };
        running.into_iter().map(tell).collect()
    }
}

fn verb(status: &str) -> &'static str {
    match status.split('_').next() {
        Some("CREATE") => "creating",
        Some("DELETE") => "deleting",
        Some("IMPORT") => "importing",
        Some("ROLLBACK") => "undoing",
        _ if status.starts_with("UPDATE_ROLLBACK") => "undoing",
        _ => "updating",
    }
}

/// Nothing below 10 s: the line would flicker.
fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => String::new(),
        seconds @ 10..60 => format!(" ({seconds} s)"),
        seconds => format!(" ({} min {} s)", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stack::Moment;

    fn event(path: &str, kind: &str, status: &str) -> StackEvent {
        StackEvent {
            id: String::new(),
            at: Moment(0),
            stack: "arn:root".to_owned(),
            path: path.to_owned(),
            physical: if path.is_empty() { "arn:root".to_owned() } else { "id".to_owned() },
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: Some("because".to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_counts_and_names_what_goes_on() {
        let mut progress = StackProgress::new(4);
        let mut lines = vec![progress.line()];
        progress.take(&event("", STACK_TYPE, "UPDATE_IN_PROGRESS"));
        progress.take(&event("Broker", STACK_TYPE, "UPDATE_IN_PROGRESS"));
        lines.push(progress.line());
        progress.take(&event("Broker/Queue", "AWS::SQS::Queue", "CREATE_IN_PROGRESS"));
        crate::doors::time::sleep(Duration::from_secs(192)).await;
        progress.take(&event("Logs", "AWS::S3::Bucket", "CREATE_COMPLETE"));
        lines.push(progress.line());
        for name in ["A", "B", "C", "D"] {
            progress.take(&event(name, "AWS::SQS::Queue", "DELETE_IN_PROGRESS"));
        }
        lines.push(progress.line());
        progress.take(&event("", STACK_TYPE, "UPDATE_ROLLBACK_IN_PROGRESS"));
        lines.push(progress.line());
        insta::assert_snapshot!(lines.join("\n"), @"
        0/4 resources
        0/4 resources, updating Broker
        1/4 resources, creating Broker/Queue (3 min 12 s)
        1/7 resources, creating Broker/Queue (3 min 12 s), deleting A, deleting B and 2 more
        rolling back, creating Broker/Queue (3 min 12 s), deleting A, deleting B and 2 more
        ");
        let note = progress.take(&event("A", "AWS::SQS::Queue", "DELETE_FAILED"));
        assert_eq!(note.as_deref(), Some("A DELETE_FAILED: because"));
    }
}
