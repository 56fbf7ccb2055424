//! What was tried, as a table: operations down, faults across, and how often each was done to a call.

use crate::fault::ALL;
use crate::injector::Done;
use crate::operation::Operation;
use crate::support::say;
use std::collections::BTreeSet;

/// Prints it, with its size.
pub fn show(title: &str, done: &Done) {
    let rows: BTreeSet<&Operation> = done.keys().map(|(operation, _)| operation).collect();
    let head: String = ALL.iter().map(|fault| format!("{:>9}", fault.word())).collect();
    let mut text = format!("\n{title}\n{:<52}{head}\n", "");
    for operation in &rows {
        let cell = |fault| match done.get(&((*operation).clone(), fault)) {
            Some(count) => format!("{count:>9}"),
            None => format!("{:>9}", "·"),
        };
        let cells: String = ALL.into_iter().map(cell).collect();
        text.push_str(&format!("{operation:<52}{cells}\n"));
    }
    let faults: usize = done.values().sum();
    text.push_str(&format!("{} operations, {} cells, {faults} faults\n", rows.len(), done.len()));
    say(&text);
}
