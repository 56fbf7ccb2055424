//! Gate: Airflow can bring the database to the release, forward or back.

use super::{Facts, Verdict};
use crate::fail::Problem;
use crate::model::schema::Direction;

pub(super) fn judge(facts: &Facts) -> Verdict {
    let Some(migration) = &facts.migration else {
        return Verdict::Skipped("the database stays as it is");
    };
    match migration.direction {
        Direction::Up | Direction::Down => match unsaved(facts) {
            Some(note) => Verdict::Unsure(vec![note]),
            None => Verdict::Passed,
        },
        Direction::Unknown => {
            let note = format!(
                "no record tells which Airflow made the database; Airflow {} migrates it if need be",
                migration.to
            );
            Verdict::Unsure([note].into_iter().chain(unsaved(facts)).collect())
        }
        Direction::Unrecorded => {
            let hint = format!(
                "check out the commit of that release and deploy it, whose lock tells: cargo xtask deploy --env {}",
                environment(facts)
            );
            let message = "its record does not tell which Airflow it has, so nobody knows what of the database has to \
                           be taken back";
            let problem = Problem::new("migration", "the release", message, hint);
            Verdict::of("the release is recorded without its migrations", vec![problem])
        }
        Direction::Apart => {
            let environment = environment(facts);
            let hint = format!(
                "deploy a release with an Airflow between them, or restore what was saved before an earlier migration; \
                 its name is `saved` in: cargo xtask history --env {environment} --format json"
            );
            let problem = Problem::new("migration", "airflow/requirements.lock", migration.to_string(), hint);
            Verdict::of("Airflow cannot bring the database to this release", vec![problem])
        }
    }
}

fn environment(facts: &Facts) -> &str {
    facts.file.trim_start_matches("environments/").trim_end_matches(".toml")
}

/// An existing database may be a MySQL, which only its URL tells, a secret.
fn unsaved(facts: &Facts) -> Option<String> {
    let existing = facts.before.get("DatabaseEngine").is_some_and(|engine| engine == "existing");
    existing.then(|| {
        "an existing database is saved before its migration if it is PostgreSQL; nothing saves a MySQL: make a backup \
         of it yourself before you deploy"
            .to_owned()
    })
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
    fn a_release_whose_record_does_not_tell_is_deployed_from_its_commit() {
        let migration = Some(Migration::unrecorded(&schema("3.3.2", "ab")));
        let Verdict::Refused(_, problems) = judge(&Facts { migration, ..facts() }) else {
            panic!("it passes")
        };
        assert!(problems[0].message.contains("does not tell which Airflow it has"), "{problems:?}");
        assert!(problems[0].hint.ends_with("cargo xtask deploy --env dev"), "{problems:?}");
    }

    #[test]
    fn that_nothing_saves_an_existing_mysql_is_said_before() {
        let migration = || Migration::between(Some(&schema("3.2.1", "a")), &schema("3.3.2", "ab"));
        let with = |engine: &str| {
            let before = [("DatabaseEngine".to_owned(), engine.to_owned())].into();
            judge(&Facts { migration: migration(), before, ..facts() })
        };
        assert_eq!(with("mysql"), Verdict::Passed, "RDS makes a snapshot of it");
        let Verdict::Unsure(notes) = with("existing") else { panic!("nothing is said") };
        assert!(notes[0].contains("nothing saves a MySQL: make a backup of it yourself"), "{notes:?}");
    }

    #[test]
    fn a_database_that_no_record_tells_of_is_worth_a_note() {
        let migration = Migration::between(None, &schema("3.3.2", "ab"));
        let verdict = judge(&Facts { migration, ..facts() });
        assert!(matches!(verdict, Verdict::Unsure(notes) if notes[0].contains("Airflow 3.3.2")));
    }
}
