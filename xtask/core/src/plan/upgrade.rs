//! What an upgrade test asks for: the requirements of the project with another Airflow in them.

use crate::fail::Problem;

const PACKAGE: &str = "apache-airflow";

/// A version of Airflow 3 as people type it, such as `3.4.0`.
///
/// # Errors
/// Anything else, with the cure.
pub fn version(text: &str) -> Result<String, String> {
    let numbers: Vec<Option<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(3), Some(_), Some(_)] => Ok(text.to_owned()),
        [Some(other), Some(_), Some(_)] => Err(format!("Airflow {other} is not Airflow 3")),
        _ => Err("three numbers, as in 3.4.0".to_owned()),
    }
}

/// The requirements with this Airflow pinned, whatever they ask of it now. Other lines stay as they are: if they
/// contradict it, the resolver says so.
#[must_use]
pub fn requirements(text: &str, version: &str) -> String {
    let mut found = false;
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| match airflow(line) {
            Some((name, rest)) => {
                found = true;
                format!("{name}=={version}{rest}")
            }
            None => line.to_owned(),
        })
        .collect();
    if !found {
        lines.push(format!("{PACKAGE}=={version}"));
    }
    lines.join("\n") + "\n"
}

/// A line that asks for Airflow itself: the name with its extras, and what follows the version.
fn airflow(line: &str) -> Option<(&str, &str)> {
    let after = line.trim_start().strip_prefix(PACKAGE)?;
    let extras = if after.starts_with('[') { after.find(']')? + 1 } else { 0 };
    let (name, specifier) = line.split_at(line.len() - after.len() + extras);
    let asks = specifier.trim_start();
    // `apache-airflow-providers-amazon` is another package.
    let is_it = asks.is_empty() || asks.starts_with(['=', '<', '>', '~', '!', ';', '#', '@']);
    let end = specifier.find([';', '#']).unwrap_or(specifier.len());
    is_it.then_some((name, &specifier[specifier[..end].trim_end().len()..]))
}

/// What the resolver says of requirements that contradict each other, as a problem of the file that it names. Anything
/// else that keeps it from a lock stays as it is.
#[must_use]
pub fn conflict(failed: Problem) -> Problem {
    let Some((before, why)) = failed.message.split_once("Because ") else { return failed };
    let place = before.split('`').nth(1).unwrap_or(&failed.location);
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = format!("because {}", why.trim_end_matches('.'));
    let hint =
        format!("ask for less in {place}, which a trial only copies, or try another version of Airflow");
    Problem::new("conflict", place, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_told_in_the_words_of_the_resolver_and_no_command_line() {
        let words = "`airflow/requirements.in` cannot be locked: `/v/uv pip compile --quiet` ended with exit status: 1: \
                     error: No solution found\n  cause: Because a==2 depends on b<1\n      and you require b==3, no.";
        let told = conflict(Problem::new("failed", "x", words, "connect to the network"));
        let message = "because a==2 depends on b<1 and you require b==3, no";
        assert_eq!((told.kind.as_str(), told.message.as_str()), ("conflict", message));
        assert_eq!(told.location, "airflow/requirements.in");
        let other = Problem::new("failed", "x", "the index does not answer", "connect to the network");
        assert_eq!(conflict(other.clone()), other);
    }

    #[test]
    fn only_airflow_itself_gets_another_version() {
        let of = |line: &str| requirements(line, "3.4.0");
        assert_eq!(of("apache-airflow[celery,fab]==3.3.2"), "apache-airflow[celery,fab]==3.4.0\n");
        assert_eq!(of("apache-airflow>=3,<3.4 # newest"), "apache-airflow==3.4.0 # newest\n");
        let marker = "apache-airflow == 3.3.2 ; python_version < '3.13'";
        assert_eq!(of(marker), "apache-airflow==3.4.0 ; python_version < '3.13'\n");
        assert_eq!(of("apache-airflow==3.3.2;extra"), "apache-airflow==3.4.0;extra\n");
        let others =
            "# apache-airflow==1\napache-airflow-providers-amazon[aiobotocore]\napache-airflow\nboto3\n";
        let expected = "# apache-airflow==1\napache-airflow-providers-amazon[aiobotocore]\napache-airflow==3.4.0\nboto3\n";
        assert_eq!(of(others), expected);
        assert_eq!(of("boto3"), "boto3\napache-airflow==3.4.0\n");
    }

    #[test]
    fn a_version_has_three_numbers_and_begins_with_3() {
        assert_eq!(version("3.4.0").unwrap(), "3.4.0");
        assert_eq!(version("2.11.0").unwrap_err(), "Airflow 2 is not Airflow 3");
        for wrong in ["3.4", "3", "latest", "3.4.0rc1", "3.4.0.1", ""] {
            assert!(version(wrong).unwrap_err().contains("three numbers"), "{wrong}");
        }
    }
}
