//! Gate: Airflow can bring the database to the release, forward or back.

use super::{Facts, Verdict};
use crate::fail::Problem;
use crate::model::schema::Direction;

pub(super) fn judge(facts: &Facts) -> Verdict {
    let Some(migration) = &facts.migration else {
        return Verdict::Skipped("the database stays as it is");
    };
    match migration.direction {
        Direction::Up | Direction::Down => Verdict::Passed,
        Direction::Unknown => Verdict::Unsure(vec![format!(
            "no record tells which Airflow made the database; Airflow {} migrates it if need be",
            migration.to
        )]),
        Direction::Apart => {
            let environment = facts.file.trim_start_matches("environments/").trim_end_matches(".toml");
            let hint = format!(
                "deploy a release with an Airflow between them, or restore what was saved before an earlier migration; \
                 its name is `saved` in: cargo xtask history --env {environment} --format json"
            );
            let problem = Problem::new("migration", "airflow/requirements.lock", migration.to_string(), hint);
            Verdict::of("Airflow cannot bring the database to this release", vec![problem])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use crate::model::schema::Migration;
    use crate::model::schema::tests::schema;

    fn judged(from: &str, to: &str) -> Verdict {
        let migration = Migration::between(Some(&schema("3.2.1", from)), &schema("3.3.2", to));
        judge(&Facts { migration, ..facts() })
    }

    #[test]
    fn what_airflow_cannot_do_is_refused_with_the_way_out() {
        assert_eq!(judged("ab", "ab"), Verdict::Skipped("the database stays as it is"));
        assert_eq!(judged("ab", "abc"), Verdict::Passed);
        assert_eq!(judged("abc", "ab"), Verdict::Passed);
        let Verdict::Refused(headline, problems) = judged("abx", "aby") else { panic!("it passes") };
        assert_eq!(headline, "Airflow cannot bring the database to this release");
        assert!(problems[0].message.contains("3.2.1 → 3.3.2 have no revision in common"), "{problems:?}");
        assert!(problems[0].hint.ends_with("cargo xtask history --env dev --format json"), "{problems:?}");
    }

    #[test]
    fn a_database_that_no_record_tells_of_is_worth_a_note() {
        let migration = Migration::between(None, &schema("3.3.2", "ab"));
        let verdict = judge(&Facts { migration, ..facts() });
        assert!(matches!(verdict, Verdict::Unsure(notes) if notes[0].contains("Airflow 3.3.2")));
    }
}
