//! What was tried, as a table: operations down, faults across, and how often each was done to a call.

use crate::fault::{ALL, Fault};
use crate::injector::{Done, Span};
use crate::operation::Operation;
use crate::support::say;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What the columns leave of 80.
const NAME: usize = 29;

/// Prints it, with its size.
pub fn show(title: &str, done: &Done) {
    say(&format!("\n{title}\n{}", table(done)));
}

fn table(done: &Done) -> String {
    let rows: BTreeSet<&Operation> = done.keys().map(|(operation, ..)| operation).collect();
    let head: String = ALL.iter().map(|fault| cell(*fault, fault.heading())).collect();
    let mut text = format!("{:<NAME$}{head}\n", "");
    let mut service = "";
    for operation in &rows {
        if operation.service != service {
            service = &operation.service;
            let _ = writeln!(text, "{service}");
        }
        let count = |fault| {
            let spans = [Span::Passing, Span::Lasting];
            let counts = spans.map(|span| done.get(&((*operation).clone(), fault, span)).copied());
            match counts.into_iter().flatten().sum() {
                0usize if fault.fate(operation).is_none() => String::new(),
                0 => "·".to_owned(),
                sum => sum.to_string(),
            }
        };
        let cells: String = ALL.into_iter().map(|fault| cell(fault, &count(fault))).collect();
        let name = format!("  {} {}", operation.name, operation.object);
        let row = format!("{:<NAME$}{cells}", shortened(name.trim_end()));
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text + LEGEND + &size(&rows, done)
}

const LEGEND: &str = "slow: throttled; before, after: the connection ends before or after the\n\
    service has done it; torn: half an answer. Blank: cannot be; ·: not tried.\n";

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

fn cell(fault: Fault, text: &str) -> String {
    format!(" {text:>width$}", width = fault.heading().len().max(4))
}

fn size(rows: &BTreeSet<&Operation>, done: &Done) -> String {
    let possible = rows.iter().flat_map(|row| ALL.map(|fault| fault.fate(row))).flatten().count();
    let tried: BTreeSet<_> = done.keys().map(|(operation, fault, _)| (operation, fault)).collect();
    let of = |span| done.keys().filter(|(_, _, one)| *one == span).count();
    format!(
        "{} operations x {} faults, {possible} of which can be: {} cells tried,\n\
         {} with a fault that passes, {} with one that stays; {} faults in all\n",
        rows.len(),
        ALL.len(),
        tried.len(),
        of(Span::Passing),
        of(Span::Lasting),
        done.values().sum::<usize>()
    )
}

#[test]
fn the_table_is_80_columns_wide() {
    use crate::operation::{Kind, Protocol};
    let operation = |service: &str, name: &str, object: &str, kind, protocol| Operation {
        service: service.to_owned(),
        name: name.to_owned(),
        object: object.to_owned(),
        kind,
        protocol,
    };
    let name = "TerminateInstanceInAutoScalingGroup";
    let read = operation("autoscaling", name, "", Kind::Read, Protocol::Query);
    let write = operation("s3", "PutObject", "current.json", Kind::Conditional, Protocol::S3);
    let mut done = Done::new();
    for fault in ALL.into_iter().filter(|fault| fault.fate(&read).is_some()) {
        done.insert((read.clone(), fault, Span::Passing), 1000);
    }
    done.insert((write.clone(), Fault::Refused, Span::Lasting), 1);
    done.insert((write, Fault::Refused, Span::Passing), 2);
    let expected = "                              slow  500 before after hang torn expired  412  409
autoscaling
  TerminateInstanceInAutoSca… 1000 1000   1000  1000 1000 1000    1000
s3
  PutObject current.json         ·    ·      ·     ·    ·            ·    3    ·
slow: throttled; before, after: the connection ends before or after the
service has done it; torn: half an answer. Blank: cannot be; ·: not tried.
2 operations x 9 faults, 15 of which can be: 8 cells tried,
8 with a fault that passes, 1 with one that stays; 7003 faults in all
";
    assert_eq!(table(&done), expected);
    assert!(expected.lines().all(|line| line.chars().count() <= 80));
}
