//! The changes of a change set: a tree for people, rows for machines.

use super::wrap::{WIDTH, lines};
use crate::model::change::{Change, ChangeAction, Evidence, Fate, Replacement, flatten};
use crate::model::text::count;
use serde::Serialize;
use std::fmt::Write as _;

/// One line of the contract's `changes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub action: &'static str,
    pub replacement: &'static str,
    pub evidence: &'static str,
    pub reasons: Vec<String>,
}

/// The tree as rows, parents first.
#[must_use]
pub fn rows(changes: &[Change]) -> Vec<ChangeRow> {
    let row = |change: &Change| ChangeRow {
        path: change.path.clone(),
        kind: change.kind.clone(),
        action: change.action.word(),
        replacement: change.replacement.word(),
        evidence: change.evidence.word(),
        reasons: change.reasons.clone(),
    };
    flatten(changes).into_iter().map(row).collect()
}

/// The tree as text for 80 columns, a line of counts below it.
///
/// `+` is added, `~` changed in place, `-` removed, `!` replaced, `?` perhaps replaced. What would only change if
/// values did that are not known yet is counted, not shown.
#[must_use]
pub fn text(changes: &[Change]) -> String {
    let mut text = String::new();
    let (shown, hidden) = telling(changes);
    for change in &shown {
        write_change(&mut text, change, 1);
    }
    text.push_str(&counts(&shown));
    if hidden.tagged > 0 {
        let _ = write!(text, "; {} of nothing but tags", count(hidden.tagged, "change"));
    }
    if hidden.doubtful > 0 {
        let _ = write!(text, "; {} known only while it runs", count(hidden.doubtful, "possible change"));
    }
    text.push('\n');
    text
}

/// How many resources are not shown.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Hidden {
    /// Only their tags change: with each release all of them get its id.
    tagged: usize,
    /// They change if a value does that is not known yet, and mostly it does not.
    doubtful: usize,
}

impl Hidden {
    fn add(&mut self, other: Self) {
        self.tagged += other.tagged;
        self.doubtful += other.doubtful;
    }
}

/// The tree without resources of which nothing can be told, and how many those are.
fn telling(changes: &[Change]) -> (Vec<Change>, Hidden) {
    let mut shown = Vec::new();
    let mut hidden = Hidden::default();
    for change in changes {
        let (nested, inside) = telling(&change.nested);
        hidden.add(inside);
        let modified = change.action == ChangeAction::Modify;
        if change.is_folder() {
            if !nested.is_empty() || inside == Hidden::default() {
                shown.push(Change { nested, ..change.clone() });
            }
        } else if modified && is_of_tags(change) {
            hidden.tagged += 1;
        } else if modified && change.evidence == Evidence::Unknown {
            hidden.doubtful += 1;
        } else {
            shown.push(change.clone());
        }
    }
    (shown, hidden)
}

fn is_of_tags(change: &Change) -> bool {
    change.replacement == Replacement::Never
        && !change.reasons.is_empty()
        && change.reasons.iter().all(|reason| reason == "Tags")
}

/// Where the type begins; names are cut before it.
const TYPE_COLUMN: usize = 36;

fn write_change(text: &mut String, change: &Change, depth: usize) {
    let indent = "  ".repeat(depth);
    let name = cut(change.name(), TYPE_COLUMN.saturating_sub(indent.len() + 3).max(12));
    let head = format!("{indent}{} {name}", mark(change));
    let _ = writeln!(text, "{head:TYPE_COLUMN$}{}", cut(&change.kind, WIDTH - TYPE_COLUMN));
    if let Some(words) = words(change) {
        let indent = format!("{indent}    ");
        for line in lines(&words, WIDTH - indent.len()) {
            let _ = writeln!(text, "{indent}{line}");
        }
    }
    for nested in &change.nested {
        write_change(text, nested, depth + 1);
    }
}

fn mark(change: &Change) -> char {
    match (change.action, change.replacement) {
        (ChangeAction::Add | ChangeAction::Import, _) => '+',
        (ChangeAction::Remove, _) => '-',
        (_, Replacement::Always) => '!',
        (_, Replacement::Maybe) => '?',
        _ => '~',
    }
}

/// What the mark alone does not say; nothing for an addition and for the row above nested changes.
fn words(change: &Change) -> Option<String> {
    let what = match mark(change) {
        '-' => "removed",
        '!' => "REPLACED",
        '?' => "may be REPLACED, known only while it runs",
        _ if change.action == ChangeAction::Import => "imported",
        _ if change.replacement == Replacement::Unknown => {
            "replaced only if a value changes that is not known yet"
        }
        _ => "",
    };
    let fate = match (what, change.fate) {
        ("" | "imported", _) | (_, Fate::Deleted) => "",
        (_, Fate::Retained) => ", the old one stays in the account",
        (_, Fate::Snapshot) => ", a snapshot stays",
    };
    let because = match change.reasons.as_slice() {
        reasons if change.is_folder() || reasons.is_empty() => String::new(),
        reasons => reasons.join(", "),
    };
    let words = match (what, because.as_str()) {
        ("", because) => because.to_owned(),
        (what, "") => format!("{what}{fate}"),
        (what, because) => format!("{what}{fate}: {because}"),
    };
    Some(words).filter(|words| !words.is_empty())
}

/// A line such as `2 to add, 1 to replace`; nested stacks whose changes are listed do not count.
#[must_use]
pub fn counts(changes: &[Change]) -> String {
    let work: Vec<char> =
        flatten(changes).into_iter().filter(|change| !change.is_folder()).map(mark).collect();
    let kinds = [
        ('+', "to add"),
        ('~', "to change"),
        ('!', "to replace"),
        ('?', "to change or replace"),
        ('-', "to remove"),
    ];
    let parts: Vec<String> = kinds
        .iter()
        .map(|(mark, word)| (work.iter().filter(|found| *found == mark).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() { "no resource changes".to_owned() } else { parts.join(", ") }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(
        path: &str,
        kind: &str,
        action: ChangeAction,
        replacement: Replacement,
        reasons: &[&str],
    ) -> Change {
        Change {
            path: path.to_owned(),
            kind: kind.to_owned(),
            action,
            replacement,
            fate: Fate::Deleted,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            evidence: Evidence::Known,
            nested: Vec::new(),
        }
    }

    fn tree() -> Vec<Change> {
        use {ChangeAction as A, Replacement as R};
        let stack = "AWS::CloudFormation::Stack";
        let mut database = change("Database", stack, A::Modify, R::Never, &["TemplateURL"]);
        let mut old = change("Database/Old", "AWS::RDS::DBParameterGroup", A::Remove, R::Never, &[]);
        old.fate = Fate::Snapshot;
        let mut instance = change(
            "Database/Instance",
            "AWS::RDS::DBInstance",
            A::Modify,
            R::Always,
            &["DBInstanceIdentifier", "StorageEncrypted (parameter DatabaseEncryption)", "KmsKeyId"],
        );
        instance.fate = Fate::Retained;
        database.nested = vec![
            instance,
            old,
            change(
                "Database/AnExtraordinarilyLongLogicalIdentifierOfAResource",
                "AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption",
                A::Modify,
                R::Maybe,
                &["Name"],
            ),
        ];
        vec![
            change("Queue", "AWS::SQS::Queue", A::Add, R::Never, &[]),
            database,
            change("Hosts", stack, A::Modify, R::Never, &["TemplateURL"]),
        ]
    }

    #[test]
    fn the_tree_fits_80_columns_and_marks_what_is_lost() {
        let text = text(&tree());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        insta::assert_snapshot!(text, @"
          + Queue                           AWS::SQS::Queue
          ~ Database                        AWS::CloudFormation::Stack
            ! Instance                      AWS::RDS::DBInstance
                REPLACED, the old one stays in the account: DBInstanceIdentifier,
                StorageEncrypted (parameter DatabaseEncryption), KmsKeyId
            - Old                           AWS::RDS::DBParameterGroup
                removed, a snapshot stays
            ? AnExtraordinarilyLongLogical… AWS::KinesisAnalyticsV2::ApplicationCloudWa…
                may be REPLACED, known only while it runs: Name
          ~ Hosts                           AWS::CloudFormation::Stack
              TemplateURL
        1 to add, 1 to change, 1 to replace, 1 to change or replace, 1 to remove
        ");
    }

    #[test]
    fn changes_of_tags_are_counted_only() {
        let tags =
            |path: &str| change(path, "AWS::SQS::Queue", ChangeAction::Modify, Replacement::Never, &["Tags"]);
        let stack = |path: &str, nested: Vec<Change>| Change {
            nested,
            ..change(path, "AWS::CloudFormation::Stack", ChangeAction::Modify, Replacement::Never, &["Tags"])
        };
        let mut real = tags("B/Q");
        real.reasons.push("DelaySeconds".to_owned());
        let tree =
            [stack("A", vec![tags("A/Q"), tags("A/R")]), stack("B", vec![tags("B/R"), real]), tags("C")];
        insta::assert_snapshot!(text(&tree), @"
          ~ B                               AWS::CloudFormation::Stack
            ~ Q                             AWS::SQS::Queue
                Tags, DelaySeconds
        1 to change; 4 changes of nothing but tags
        ");
        assert_eq!(rows(&tree).len(), 7, "machines get everything");
    }

    #[test]
    fn what_is_known_only_while_it_runs_is_counted_only() {
        use {ChangeAction as A, Replacement as R};
        let doubtful = |path: &str, replacement| Change {
            evidence: Evidence::Unknown,
            ..change(path, "AWS::RDS::DBInstance", A::Modify, replacement, &["Tags", "SubnetIds"])
        };
        let mut stack = change("D", "AWS::CloudFormation::Stack", A::Modify, R::Never, &["Properties"]);
        stack.nested = vec![doubtful("D/One", R::Unknown), doubtful("D/Two", R::Never)];
        let mut partly = doubtful("Q", R::Unknown);
        partly.evidence = Evidence::Known;
        insta::assert_snapshot!(text(&[stack, partly]), @"
          ~ Q                               AWS::RDS::DBInstance
              replaced only if a value changes that is not known yet: Tags, SubnetIds
        1 to change; 2 possible changes known only while it runs
        ");
    }

    #[test]
    fn an_empty_tree_says_so() {
        assert_eq!(text(&[]), "no resource changes\n");
    }

    #[test]
    fn rows_are_those_of_the_contract() {
        let rows = rows(&tree());
        let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths[..3], ["Queue", "Database", "Database/Instance"]);
        insta::assert_snapshot!(serde_json::to_string(&rows[2]).unwrap(), @r#"{"path":"Database/Instance","type":"AWS::RDS::DBInstance","action":"modify","replacement":"always","evidence":"known","reasons":["DBInstanceIdentifier","StorageEncrypted (parameter DatabaseEncryption)","KmsKeyId"]}"#);
    }
}
