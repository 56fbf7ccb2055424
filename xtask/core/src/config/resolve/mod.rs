//! From a file as written to a complete environment: checks every value, then adds the defaults.

mod address;
mod airflow;
mod broker;
mod check;
#[cfg(test)]
mod conflict_tests;
mod container;
mod database;
mod defaults;
mod engine;
#[cfg(test)]
mod engine_tests;
mod entry;
mod env;
mod executors;
mod external;
#[cfg(test)]
mod external_tests;
mod git;
#[cfg(test)]
mod git_tests;
mod hosts;
mod names;
mod network;
mod operations;
mod owned;
mod people;
mod release;
mod tasks;
#[cfg(test)]
mod tests;
mod workers;

use super::environment::{Aws, Environment};
use super::file::{self, File};
use super::problems::{Location, Problems, Refusal, Reported};
use super::values::{
    self, Account, Architecture, BrokerKind, Endpoint, EnvironmentName, LoadBalancer, ProjectName, Region,
};
use crate::fail::Problem;
use crate::model::contract::CONTRACT;
use crate::model::engine::Engine;
use check::flag;
use defaults::Defaults;
use std::collections::BTreeMap;

/// Tags that the tool and the templates set themselves.
const OWN_TAGS: [&str; 5] = ["project", "environment", "component", "team", "release"];
/// AWS allows 50 tags on a resource, including those of the tool, CloudFormation and Auto Scaling.
const MOST_TAGS: usize = 40;

/// The environment `name` described by `text`, the content of `file`, which is only used in messages.
///
/// # Errors
/// Every problem of the file, in the order of its lines.
pub fn resolve(name: &str, text: &str, file: &str) -> Result<Environment, Vec<Problem>> {
    let mut problems = Problems::new(file);
    let written = File::parse(text, &mut problems);
    let environment = written.and_then(|written| complete(name, &written, &mut problems));
    problems.finish(environment)
}

/// Checks every part before it gives up, so that no problem hides another.
fn complete(name: &str, written: &File, problems: &mut Problems) -> Result<Environment, Reported> {
    let name = problems.valid(&Location::default(), EnvironmentName::parse(name));
    let project = problems.text(&written.project, ProjectName::parse).map(Option::unwrap_or_default);
    let team = problems.text(&written.team, team);
    let engine = problems.choice(&written.engine, values::engine, Engine::default());
    let endpoint = problems.choice(&written.aws.endpoint, Endpoint::parse, Endpoint::Aws);
    let local = endpoint.as_ref().map(|endpoint| *endpoint == Endpoint::Local).map_err(|error| *error);
    let defaults = Defaults {
        local: local == Ok(true),
        ecs: engine.is_ok_and(Engine::is_ecs),
        protected: flag(&written.protected, false),
        high_availability: flag(&written.high_availability, false),
    };
    let default = defaults.load_balancer(written.network.vpc_id.is_some());
    let balancer = problems.choice(&written.entry.load_balancer, LoadBalancer::parse, default);
    let kind = problems.choice(&written.broker.kind, BrokerKind::parse, BrokerKind::Sqs);
    let architecture = problems.choice(&written.hosts.architecture, Architecture::parse, Architecture::X86);
    let aws = aws(&written.aws, endpoint, problems);
    let region = aws.as_ref().ok().map(|aws| &aws.region);
    let airflow = airflow::airflow(&written.airflow, local, problems);
    let dags = airflow::dags(written, name.as_ref().ok(), problems);
    let env = env::env(&written.env, problems);
    let network = network::network(&written.network, defaults, balancer.ok(), problems);
    let nat = network.as_ref().ok().map(|network| network.nat);
    let around =
        entry::Surroundings { balancer, airflow: airflow.as_ref().ok(), nat, local, region, defaults };
    let entry = entry::entry(written, around, problems);
    let database = database::database(&written.database, defaults, region, problems);
    let broker = broker::broker(&written.broker, kind, balancer.ok(), defaults, problems);
    let storage = operations::storage(written, problems);
    let around = engine::Surroundings { engine, defaults, architecture, balancer: balancer.ok() };
    let compute = engine::compute(written, around, problems);
    let shared = storage.as_ref().ok().map(|storage| storage.shared_files);
    let external = external::tasks(&written.tasks, engine, compute.as_ref().ok(), shared, problems);
    let container = container::container(&written.image, architecture, defaults, problems);
    let schedule = operations::schedule(&written.schedule, defaults.ecs, problems);
    let monitoring = operations::monitoring(written, defaults, problems);
    let login = people::login(&written.login, problems);
    let mail = people::mail(&written.mail, problems);
    let github = people::github(&written.github, problems);
    let release = release::release(&written.release, name.as_ref().ok(), defaults, problems);
    let additional = operations::additional(&written.additional, problems);
    let tags = tags(&written.tags, problems);
    if let (Ok(project), Ok(name)) = (&project, &name) {
        let audit_trail = monitoring.as_ref().is_ok_and(|monitoring| monitoring.audit_trail);
        let origin = names::Origin { project, name, balancer: balancer.ok(), broker: kind.ok(), audit_trail };
        names::fit(origin, written, problems);
    }
    let project = project?;
    let (compute, workers) = compute?;
    let environment = Environment {
        team: team?.unwrap_or_else(|| project.to_string()),
        project,
        name: name?,
        engine: engine?,
        protected: defaults.protected,
        aws: aws?,
        airflow: airflow?,
        dags: dags?,
        env,
        network: network?,
        entry: entry?,
        database: database?,
        broker: broker?,
        storage: storage?,
        compute,
        workers,
        external: external?,
        container: container?,
        schedule: schedule?,
        monitoring: monitoring?,
        login: login?,
        mail: mail?,
        github: github?,
        additional: additional?,
        release: release?,
        tags,
    };
    check_sizes(&environment, written, problems);
    Ok(environment)
}

/// The owner, which has to be valid as the value of a tag.
fn team(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(
            "the value is empty",
            "name the owner of the environment, or remove the key",
        ));
    }
    values::tag("team", text).map(|()| text.to_owned())
}

fn aws(
    written: &file::Aws,
    endpoint: Result<Endpoint, Reported>,
    problems: &mut Problems,
) -> Result<Aws, Reported> {
    let account = problems.text(&written.account, Account::parse);
    let region = problems.text(&written.region, Region::parse);
    let endpoint = endpoint?;
    if endpoint == Endpoint::Local {
        if let (Some(written), Ok(Some(account))) = (&written.account, &account)
            && *account != Account::local()
        {
            let message =
                format!("`{account}` is not the account of the local cloud, which is `{}`", Account::LOCAL);
            problems.conflict(&written.location, message, "remove it, or remove `endpoint` to use AWS");
        }
        let account = account.map(|account| account.unwrap_or_else(Account::local));
        let region = region.map(|region| region.unwrap_or_else(Region::local));
        return Ok(Aws { account: account?, region: region?, endpoint });
    }
    let account = problems.required(account, "aws.account", || {
        "add `account = \"…\"` under `[aws]`, with the number that this prints: \
         aws sts get-caller-identity --query Account --output text"
    });
    let region = problems.required(
        region,
        "aws.region",
        || "add `region = \"eu-central-1\"`, or another region, under `[aws]`",
    );
    Ok(Aws { account: account?, region: region?, endpoint })
}

fn tags(written: &file::Free, problems: &mut Problems) -> BTreeMap<String, String> {
    for (key, value) in written {
        if let Err(refusal) = values::tag(key, &value.value) {
            problems.invalid(&value.location, refusal);
        }
        let lower = key.to_lowercase();
        if OWN_TAGS.contains(&lower.as_str()) {
            let hint = match lower.as_str() {
                "team" => "set `team` at the top of the file instead",
                _ => "remove it, or use another key",
            };
            let refusal = Refusal::new(format!("the tag `{key}` is set by the tool"), hint);
            problems.report("owned_key", &value.location, refusal);
        }
    }
    if let Some((_, first)) = written.get(MOST_TAGS) {
        let message = format!("too many tags: {}, the limit is {MOST_TAGS}", written.len());
        problems.invalid(&first.location, Refusal::new(message, "remove some of them"));
    }
    written.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect()
}

/// Reports what is too long for a single parameter of CloudFormation.
fn check_sizes(environment: &Environment, written: &File, problems: &mut Problems) {
    let mut check = |key: &str, json: &str, most: usize, keys: &file::Free, hint: &str| {
        let length = json.chars().count();
        if length > most {
            let line = keys.iter().filter_map(|(_, value)| value.location.line).min();
            let message = format!("too long: {length} characters as JSON, the limit is {most}");
            problems.invalid(&Location { key: key.to_owned(), line }, Refusal::new(message, hint));
        }
    };
    let hint = "move options that are the same for every environment to `airflow/config/`";
    let options = environment.airflow_config();
    check("airflow.config", &options, CONTRACT.limits.airflow_config, &written.airflow.config, hint);
    let hint = "move values that are long to a file in `dags/`";
    let variables = environment.environment_variables();
    check("env", &variables, CONTRACT.limits.environment_variables, &written.env, hint);
    let hint = "list only people whose role differs from `default_role`, or assign roles in the UI";
    let login = environment.login.config();
    check("login.roles", &login, values::MOST_PARAMETER_BYTES, &written.login.roles, hint);
}
