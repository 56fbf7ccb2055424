//! Environment variables for tasks and for the files that define DAGs.

use super::owned::matches;
use crate::config::document::Written;
use crate::config::file::Free;
use crate::config::problems::{Problems, Refusal};
use crate::config::secrecy::{has_credentials, names_a_secret};
use crate::config::values::VariableName;
use crate::model::contract::CONTRACT;
use std::collections::BTreeMap;

/// The valid variables; the others are reported.
pub fn env(written: &Free, problems: &mut Problems) -> BTreeMap<VariableName, String> {
    let mut env = BTreeMap::new();
    for (name, Written { value, location }) in written {
        match variable(name, value) {
            Ok(name) => drop(env.insert(name, value.clone())),
            Err((kind, refusal)) => drop(problems.report(kind, location, refusal)),
        }
    }
    env
}

/// The checked name of a variable, or the kind of problem and what is wrong.
fn variable(name: &str, value: &str) -> Result<VariableName, (&'static str, Refusal)> {
    let checked = VariableName::parse(name).map_err(|refusal| ("invalid_value", refusal))?;
    if let Some((_, cure)) = CONTRACT.variables.owned.iter().find(|(pattern, _)| matches(pattern, name)) {
        return Err(("owned_key", Refusal::new(format!("`{name}` is reserved"), cure)));
    }
    if names_a_secret(name) || has_credentials(value) {
        let message = format!("`{name}` appears to contain a secret; secrets do not belong in this file");
        let key = name.to_lowercase();
        let hint = format!(
            "store it as a variable of Airflow, and read it in the task with `Variable.get(\"{key}\")`: \
             cargo xtask secret set variables/{key} --env ENV"
        );
        return Err(("secret", Refusal::new(message, hint)));
    }
    if value.chars().any(char::is_control) {
        let message = "the value contains a line break or another control character";
        return Err(("invalid_value", Refusal::new(message, "write it on one line")));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{aws, bad, good};
    use crate::config::Images;

    #[test]
    fn variables_are_one_line_of_json() {
        let environment =
            good(&aws("[env]\nLAKE = 's3://lake-dev'\n_Rate2 = 1.5\nDRY_RUN = true\nEMPTY = ''"));
        insta::assert_snapshot!(
            environment.parameters(&Images::example(), None)["EnvironmentVariables"],
            @r#"{"DRY_RUN":"true","EMPTY":"","LAKE":"s3://lake-dev","_Rate2":"1.5"}"#
        );
        assert_eq!(good(&aws("")).parameters(&Images::example(), None)["EnvironmentVariables"], "{}");
    }

    #[test]
    fn names_of_others_and_secrets_are_refused_together() {
        let text = "[env]\nAIRFLOW__CORE__PARALLELISM = 1\nAIRFLOW_CONN_X = 'x://y'\nPATH = '/bin'\n\
                    AWS_PROFILE = 'x'\nDUCTWORK_STATE = '/x'\n2X = 'x'\nlake.bucket = 'x'\nDB_PASSWORD = 'x'\n\
                    github_token = 'x'\nSTORE = 'redis://u:hunter2@h/0'\nNOTE = \"a\\nb\"\nSINCE = 2026-01-01\n";
        let found = bad(&aws(text));
        assert!(!found.contains("hunter2"), "{found}");
        insta::assert_snapshot!(found, @r#"
        environments/dev.toml:7 `env.AIRFLOW__CORE__PARALLELISM`: `AIRFLOW__CORE__PARALLELISM` is reserved [owned_key]
            set the option under `[airflow.config]`
        environments/dev.toml:8 `env.AIRFLOW_CONN_X`: `AIRFLOW_CONN_X` is reserved [owned_key]
            describe the connection in `airflow/objects.toml`
        environments/dev.toml:9 `env.PATH`: `PATH` is reserved [owned_key]
            remove it: Airflow and its packages are found by it
        environments/dev.toml:10 `env.AWS_PROFILE`: `AWS_PROFILE` is reserved [owned_key]
            remove it: hosts use the region of the environment and the rights of their IAM role
        environments/dev.toml:11 `env.DUCTWORK_STATE`: `DUCTWORK_STATE` is reserved [owned_key]
            use another name: names that start with `DUCTWORK_` are those of the tool
        environments/dev.toml:12 `env.2X`: invalid name of an environment variable: `2X` [invalid_value]
            use letters, digits and underscores, and do not start with a digit: `LAKE_BUCKET`
        environments/dev.toml:13 `env.lake.bucket`: invalid name of an environment variable: `lake.bucket` [invalid_value]
            use letters, digits and underscores, and do not start with a digit: `LAKE_BUCKET`
        environments/dev.toml:14 `env.DB_PASSWORD`: `DB_PASSWORD` appears to contain a secret; secrets do not belong in this file [secret]
            store it as a variable of Airflow, and read it in the task with `Variable.get("db_password")`: cargo xtask secret set variables/db_password --env ENV
        environments/dev.toml:15 `env.github_token`: `github_token` appears to contain a secret; secrets do not belong in this file [secret]
            store it as a variable of Airflow, and read it in the task with `Variable.get("github_token")`: cargo xtask secret set variables/github_token --env ENV
        environments/dev.toml:16 `env.STORE`: `STORE` appears to contain a secret; secrets do not belong in this file [secret]
            store it as a variable of Airflow, and read it in the task with `Variable.get("store")`: cargo xtask secret set variables/store --env ENV
        environments/dev.toml:17 `env.NOTE`: the value contains a line break or another control character [invalid_value]
            write it on one line
        environments/dev.toml:18 `env.SINCE`: expected a string, number or boolean, found a datetime [wrong_type]
            put it in quotes: `"SINCE" = "2026-01-01"`
        "#);
    }

    #[test]
    fn names_that_only_sound_alike_are_free() {
        good(&aws(
            "[env]\nPATHS = 'x'\nHOMEPAGE = 'x'\nTOKENS_PER_DAY = 3\nAIRFLOW_URL = 'https://a.example/a@b'",
        ));
    }

    #[test]
    fn they_must_fit_into_a_parameter() {
        insta::assert_snapshot!(bad(&aws(&format!("[env]\nLONG = '{}'\n", "x".repeat(4096)))), @r"
        environments/dev.toml:7 `env`: too long: 4107 characters as JSON, the limit is 4096 [invalid_value]
            move values that are long to a file in `dags/`
        ");
    }
}
