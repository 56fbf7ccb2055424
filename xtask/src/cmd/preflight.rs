//! What is looked at before the local cloud is started or anybody is connected: all that is wrong with
//! the environment file, the tree and this machine is told together, and nothing is left behind.

use super::project::{EnvArg, Project};
use super::target;
use crate::apply::{local_cloud, toolchain};
use crate::config::Environment;
use crate::doors::net;
use crate::fail::{Fail, Problem, Result};

/// The project and the environment that its tree is to be deployed to.
pub fn ready(env: &EnvArg) -> Result<(Project, Environment)> {
    let project = Project::find()?;
    let environment = match project.environment(env) {
        Ok(environment) => environment,
        Err(fail) => return Err(fail.and(target::problems(&project.root))),
    };
    if environment.is_local() && local_cloud::is_new(&project.root) {
        first_time(&project, &environment)?;
    }
    Ok((project, environment))
}

/// Later on, connecting starts nothing that would have to be undone, and the port is Airflow's own.
fn first_time(project: &Project, environment: &Environment) -> Result<()> {
    let mut problems = target::problems(&project.root);
    problems.extend(port_taken(environment));
    match toolchain::python() {
        Err(fail) => Err(fail.and(problems)),
        Ok(_) if problems.is_empty() => Ok(()),
        Ok(_) => Err(Fail::problems(format!("`{}` cannot be deployed", environment.name), problems)),
    }
}

/// On this machine the first deployment needs the port; a later one has it itself.
pub fn port_is_free(environment: &Environment) -> Result<()> {
    match port_taken(environment) {
        Some(problem) => Err(Fail::problems("Airflow could not listen", vec![problem])),
        None => Ok(()),
    }
}

fn port_taken(environment: &Environment) -> Option<Problem> {
    let first = environment.airflow.port;
    // The health and log servers take the next three, see `ductwork_airflow.settings`.
    let last = first.saturating_add(3);
    let port = (first..=last).find(|port| environment.is_local() && !net::is_free(*port))?;
    let place = format!("environments/{}.toml `airflow.port`", environment.name);
    let message = format!("port {port} of this machine is taken, and Airflow needs {first} to {last}");
    let hint = "stop the program that listens there, or set another `port` under `[airflow]`";
    Some(Problem::new("port_taken", place, message, hint))
}
