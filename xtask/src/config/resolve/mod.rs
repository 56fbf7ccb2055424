//! From a file as written to a complete environment: every value checked, defaults last, all problems at once.

mod airflow;
mod check;
#[cfg(test)]
mod conflict_tests;
mod database;
mod hosts;
mod names;
mod network;
mod operations;
mod owned;
mod people;
#[cfg(test)]
mod tests;
mod workers;

use super::environment::{Aws, Environment};
use super::file::{self, File};
use super::problems::{Place, Problems, Wrong};
use super::values::{self, Account, Endpoint, Engine, EnvironmentName, ProjectName, Region};
use crate::fail::Problem;
use check::{at, truth};
use std::collections::BTreeMap;

/// Tags that the tool and the templates set themselves.
const OWN_TAGS: [&str; 5] = ["project", "environment", "component", "team", "release"];

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

/// What defaults depend on.
#[derive(Clone, Copy)]
struct Given {
    /// Whether the cloud of this machine is meant.
    local: bool,
    /// Whether it is recorded who did what.
    protected: bool,
    /// Whether the loss of a host or a zone must not be felt.
    high: bool,
}

impl Given {
    /// How many hosts a component has.
    fn hosts(self) -> u32 {
        if self.high { 2 } else { 1 }
    }
}

/// Looks at everything before it gives up, so that no problem hides another.
fn complete(name: &str, written: &File, problems: &mut Problems) -> Option<Environment> {
    let nowhere = Place { key: String::new(), line: None };
    let name = EnvironmentName::parse(name).map_err(|wrong| problems.invalid(&nowhere, wrong)).ok();
    let project = problems.text(written.project.as_ref(), ProjectName::parse).unwrap_or_default();
    let team = team(written, &project, problems);
    let engine = problems.choice(written.engine.as_ref(), Engine::parse, Engine::Ec2);
    let endpoint = problems.choice(written.aws.endpoint.as_ref(), Endpoint::parse, Endpoint::Aws);
    let aws = aws(&written.aws, endpoint.as_ref(), problems);
    let endpoint = endpoint.as_ref();
    let region = aws.as_ref().map(|aws| &aws.region);
    let given = Given {
        local: endpoint == Some(&Endpoint::Local),
        protected: truth(written.protected.as_ref(), false),
        high: truth(written.high_availability.as_ref(), false),
    };
    let airflow = airflow::airflow(&written.airflow, endpoint, problems);
    let dags = airflow::dags(&written.dags, problems);
    let network = network::network(&written.network, given, problems);
    let around = network::Around {
        airflow: airflow.as_ref(),
        url: at(written.airflow.url.as_ref()),
        region,
        network: &written.network,
    };
    let entry = network::entry(&written.entry, given, around, problems);
    let database = database::database(&written.database, given, region, problems);
    let broker = database::broker(&written.broker, given, problems);
    let storage = operations::storage(written, problems);
    let balancer = entry.as_ref().map(|entry| entry.load_balancer);
    let hosts = hosts::hosts(&written.hosts, given, balancer, problems);
    let architecture = hosts.as_ref().map(|hosts| hosts.architecture);
    let workers = workers::workers(&written.workers, given, architecture, problems);
    let schedule = operations::schedule(&written.schedule, problems);
    let watch = operations::watch(written, given, problems);
    let login = people::login(&written.login, problems);
    let mail = people::mail(&written.mail, problems);
    let github = people::github(&written.github, problems);
    let additional = operations::additional(&written.additional, problems);
    let tags = tags(&written.tags, problems);
    let name = name?;
    names::fit(&project, &name, entry.as_ref(), broker.as_ref(), written, problems);
    let environment = Environment {
        project,
        name,
        team,
        engine: engine?,
        protected: given.protected,
        aws: aws?,
        airflow: airflow?,
        dags,
        network: network?,
        entry: entry?,
        database: database?,
        broker: broker?,
        storage,
        hosts: hosts?,
        workers: workers?,
        schedule,
        watch,
        login: login?,
        mail,
        github,
        additional,
        tags,
    };
    airflow::check_sizes(&environment, written, problems);
    Some(environment)
}

/// The value of a tag, so it must be fit to be one.
fn team(written: &File, project: &ProjectName, problems: &mut Problems) -> String {
    let team = problems.text(written.team.as_ref(), |text| match values::tag("team", text) {
        Ok(()) if text.is_empty() => {
            Err(Wrong::new("is empty", "write who owns the environment, or remove it"))
        }
        Ok(()) => Ok(text.to_owned()),
        Err(wrong) => Err(wrong),
    });
    team.unwrap_or_else(|| project.to_string())
}

fn aws(written: &file::Aws, endpoint: Option<&Endpoint>, problems: &mut Problems) -> Option<Aws> {
    let local = endpoint == Some(&Endpoint::Local);
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
    Some(Aws { account: account?, region: region?, endpoint: endpoint?.clone() })
}

fn tags(written: &file::Free, problems: &mut Problems) -> BTreeMap<String, String> {
    for (key, value) in written {
        if let Err(wrong) = values::tag(key, &value.value) {
            problems.invalid(&value.place, wrong);
        }
        if OWN_TAGS.contains(&key.to_lowercase().as_str()) {
            let hint = match key.to_lowercase().as_str() {
                "team" => "write it as `team`, above the first table",
                _ => "remove it, or choose another key",
            };
            let wrong = Wrong::new(format!("the tag `{key}` is set by the tool"), hint);
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
