//! The templates as a set: what cfn-lint, which sees one at a time, cannot know.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod broker;
mod evaluated;
mod executors;
mod external;
mod flower;
mod logs;
mod managed;
mod parameters;
mod resources;
mod sets;
mod tasks;
mod template;
mod wiring;

use std::collections::BTreeMap;
use std::path::Path;
use template::Template;

/// CloudFormation's limit for a template that is sent as text, and the one for a file that is read whole.
const MOST_BYTES: usize = 51_200;
const MOST_LINES: usize = 400;

/// Fails with everything that was found, not with the first of it.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The same of the templates of each engine.
fn for_each(faults: impl Fn(&BTreeMap<String, Template>) -> Vec<String>) {
    none(&template::engines().iter().flat_map(|(_, all)| faults(all)).collect::<Vec<_>>());
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn no_template_is_too_long() {
    let mut found = Vec::new();
    for (name, text) in template::written() {
        let (lines, bytes) = (text.lines().count(), text.len());
        if lines > MOST_LINES || bytes > MOST_BYTES {
            found.push(format!(
                "{name}: {lines} lines and {bytes} bytes, at most {MOST_LINES} and {MOST_BYTES}: make a child of a concern"
            ));
        }
    }
    none(&found);
}
