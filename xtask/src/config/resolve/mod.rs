//! From a file as written to a complete environment: every value checked, defaults last, all problems at once.

mod airflow;
mod check;
mod hosts;
mod infrastructure;
#[cfg(test)]
mod tests;

use super::environment::{Aws, Engine, Environment};
use super::file::{self, File};
use super::problems::{Place, Problems, Wrong};
use super::values::{self, Account, Endpoint, EnvironmentName, ProjectName, Region};
use crate::model::names;
use crate::model::problem::Problem;
use std::collections::BTreeMap;

/// Tags that the tool and the templates set themselves.
const OWN_TAGS: [&str; 3] = ["project", "environment", "component"];

/// What is named after the stack, what comes behind its name, and how long AWS lets the whole be.
/// CloudFormation ends the name of a nested stack in 13 characters of its own.
const DERIVED: [(&str, &str, usize); 3] = [
    ("stack", "", 128),
    ("nested stack", "-Hosts-XXXXXXXXXXXXX-ApiServer-XXXXXXXXXXXXX", 128),
    ("CodeDeploy application", "", 100),
];

/// Makes the environment `name` of `text`, the content of `file`; `file` is only for messages.
pub fn resolve(name: &str, text: &str, file: &str) -> Result<Environment, Vec<Problem>> {
    let mut problems = Problems::new(file);
    let written = File::parse(text, &mut problems);
    let environment = written.and_then(|written| complete(name, &written, &mut problems));
    match environment {
        Some(environment) if problems.is_empty() => Ok(environment),
        _ => Err(problems.into_vec()),
    }
}

/// Looks at everything before it gives up, so that no problem hides another.
fn complete(name: &str, written: &File, problems: &mut Problems) -> Option<Environment> {
    let nowhere = Place { key: String::new(), line: None };
    let name = EnvironmentName::parse(name).map_err(|wrong| problems.invalid(&nowhere, wrong)).ok();
    let project = problems.text(written.project.as_ref(), ProjectName::parse).unwrap_or_default();
    let engine = problems.text(written.engine.as_ref(), engine).unwrap_or(Engine::Ec2);
    let aws = aws(&written.aws, problems);
    let endpoint = aws.as_ref().map(|aws| &aws.endpoint);
    let airflow = airflow::airflow(&written.airflow, endpoint, problems);
    let dags = airflow::dags(&written.dags, problems);
    let network = infrastructure::network(&written.network, problems);
    let database = infrastructure::database(&written.database, problems);
    let hosts = hosts::hosts(&written.hosts, problems);
    let logs = infrastructure::logs(&written.logs, problems);
    let tags = tags(&written.tags, problems);
    let protected = written.protected.as_ref().is_some_and(|protected| protected.value);
    let name = name?;
    names_fit(&project, &name, written, problems);
    let (aws, airflow, database, hosts) = (aws?, airflow?, database?, hosts?);
    let environment = Environment {
        project,
        name,
        engine,
        protected,
        aws,
        airflow,
        dags,
        network,
        database,
        hosts,
        logs,
        tags,
    };
    airflow::check_size(&environment.airflow_config(), &written.airflow.config, problems);
    Some(environment)
}

fn engine(text: &str) -> Result<Engine, Wrong> {
    match text {
        "ec2" => Ok(Engine::Ec2),
        _ => Err(Wrong::new(
            format!("`{text}` is no engine"),
            "write `ec2`, the only one so far, or remove it",
        )),
    }
}

fn aws(written: &file::Aws, problems: &mut Problems) -> Option<Aws> {
    let endpoint = problems.text(written.endpoint.as_ref(), Endpoint::parse);
    let endpoint = if written.endpoint.is_some() { endpoint } else { Some(Endpoint::Aws) };
    let local = endpoint == Some(Endpoint::Local);
    let account = problems.text(written.account.as_ref(), Account::parse);
    let region = problems.text(written.region.as_ref(), Region::parse);
    if let (true, Some(written), Some(account)) = (local, &written.account, &account)
        && *account != Account::local()
    {
        let message = format!("`{account}` is not the account of the local cloud, `{}`", Account::LOCAL);
        problems
            .conflict(&written.place, Wrong::new(message, "remove it, or remove `endpoint` to go to AWS"));
    }
    if !local && written.account.is_none() {
        let hint = "add `account = \"…\"` below `[aws]`, with what this prints: \
                    aws sts get-caller-identity --query Account --output text";
        problems.missing("aws.account", hint);
    }
    if !local && written.region.is_none() {
        problems.missing("aws.region", "add `region = \"eu-central-1\"` or another one below `[aws]`");
    }
    let account = account.or_else(|| local.then(Account::local));
    let region = region.or_else(|| local.then(Region::local));
    Some(Aws { account: account?, region: region?, endpoint: endpoint? })
}

fn tags(written: &file::Free, problems: &mut Problems) -> BTreeMap<String, String> {
    for (key, value) in written {
        if let Err(wrong) = values::tag(key, &value.value) {
            problems.invalid(&value.place, wrong);
        }
        if OWN_TAGS.contains(&key.to_lowercase().as_str()) {
            let wrong =
                Wrong::new(format!("the tag `{key}` is set by the tool"), "remove it, or choose another key");
            problems.report("owned_key", &value.place, wrong);
        }
    }
    // AWS allows 50 on a resource; the tool's own and those of CloudFormation and Auto Scaling are among them.
    if let Some((_, last)) = written.get(40) {
        problems
            .invalid(&last.place, Wrong::new("more than 40 tags", "remove some: AWS allows 50 with its own"));
    }
    written.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect()
}

/// Names that AWS would refuse in the middle of a deployment.
fn names_fit(project: &ProjectName, name: &EnvironmentName, written: &File, problems: &mut Problems) {
    let nowhere = Place { key: String::new(), line: None };
    let place = written.project.as_ref().map_or(&nowhere, |written| &written.place);
    let stack = names::stack(project.as_str(), name.as_str());
    if stack == names::BOOTSTRAP_STACK {
        let message =
            format!("the stack of this environment would be `{stack}`, which holds the artifact bucket");
        problems.invalid(place, Wrong::new(message, "give the file another name"));
    }
    let excess = DERIVED.iter().map(|(what, suffix, most)| (what, stack.len() + suffix.len(), most));
    if let Some((what, length, most)) =
        excess.filter(|(_, length, most)| length > most).max_by_key(|(_, length, most)| length - *most)
    {
        let message =
            format!("too long: the name of the {what} would have {length} characters, {most} at most");
        let hint = format!("shorten the name of the project by {} characters", length - most);
        problems.report("name_too_long", place, Wrong::new(message, hint));
    }
}
