//! Whether Airflow could listen where the environment file says. Only looks, never listens for long.

use crate::config::Environment;
use crate::doors::net;
use crate::fail::{Fail, Result};
use crate::model::problem::Problem;

/// On this machine the first deployment needs the port; a later one has it itself.
pub fn is_free(environment: &Environment) -> Result<()> {
    let port = environment.airflow.port;
    // The health and log servers take the next three, see `ductwork_airflow.settings`.
    let mut ports = port..=port.saturating_add(3);
    let taken = || ports.find(|port| !net::is_free(*port));
    let Some(port) = environment.is_local().then(taken).flatten() else { return Ok(()) };
    let place = format!("environments/{}.toml `airflow.port`", environment.name);
    let hint = "stop the program that listens there, or set another `port` and `url` under `[airflow]`";
    let problem = Problem::new("port_taken", place, format!("port {port} of this machine is taken"), hint);
    Err(Fail::problems("Airflow could not listen", vec![problem]))
}
