//! The templates as a set: what cfn-lint, which sees one at a time, cannot know.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod parameters;
mod resources;
mod template;

use std::path::Path;
use template::all;

/// CloudFormation's limit for a template that is sent as text, and the one for a file that is read whole.
const MOST_BYTES: usize = 51_200;
const MOST_LINES: usize = 400;
/// Declares every parameter of its children once more, and is looked things up in rather than read.
const MOST_LINES_OF_MASTER: usize = 600;

/// Fails with everything that was found, not with the first of it.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn no_template_is_too_long() {
    let mut found = Vec::new();
    for template in all().values() {
        let most = if template.name == "master.yaml" { MOST_LINES_OF_MASTER } else { MOST_LINES };
        let (lines, bytes) = (template.text.lines().count(), template.text.len());
        if lines > most || bytes > MOST_BYTES {
            found.push(format!(
                "{}: {lines} lines and {bytes} bytes, at most {most} and {MOST_BYTES}: make a child of a concern",
                template.name
            ));
        }
    }
    none(&found);
}
