//! What is checked before the local cloud is started or anything is connected: everything that is wrong
//! with the environment file, the tree and this machine is told together, and nothing is left behind.

use super::project::Project;
use super::tree;
use crate::config::Environment;
use crate::doors::{local_cloud, net, toolchain};
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::plan::gates::Ports;

/// The project and the environment that its tree is to be deployed to.
pub fn ready(environment: &str) -> Result<(Project, Environment)> {
    let project = Project::find()?;
    let environment = match project.environment(environment) {
        Ok(environment) => environment,
        Err(fail) => return Err(fail.and(tree::problems(&project.root, &[])?)),
    };
    if environment.is_local() && local_cloud::is_new(&project.root) {
        first_time(&project, &environment)?;
    }
    Ok((project, environment))
}

/// Later on, connecting starts nothing that would have to be undone, and the port is Airflow's own.
fn first_time(project: &Project, environment: &Environment) -> Result<()> {
    let mut problems = tree::problems(&project.root, std::slice::from_ref(environment))?;
    let file = format!("environments/{}.toml", environment.name);
    problems.extend(ports(environment).problem(&file));
    match toolchain::python() {
        Err(fail) => Err(fail.and(problems)),
        Ok(_) if problems.is_empty() => Ok(()),
        Ok(_) => Err(Fail::problems(format!("`{}` cannot be deployed", environment.name), problems)),
    }
}

/// The ports that the first deployment on this machine needs; a later one has them itself.
#[must_use]
pub fn ports(environment: &Environment) -> Ports {
    let first = environment.airflow.port;
    // The health and log servers take the next ports on this machine.
    let last = CONTRACT.ports.all().iter().fold(first, |port, _| port.saturating_add(1));
    let taken = (first..=last).find(|port| !net::is_free(*port));
    Ports { first, last, taken }
}
