//! An AWS environment without a load balancer: people reach its only API server at the elastic IP address
//! that its host takes, by the name that AWS gives this address.

use super::check::at;
use crate::config::environment::Airflow;
use crate::config::file::File;
use crate::config::problems::{Location, Problems};
use crate::config::values::{Nat, Url};

const BALANCER: &str = "set `load_balancer = \"internal\"` under `[entry]`";

/// Reports that nothing leads to the API server on ECS.
pub fn of_tasks(file: &File, problems: &mut Problems) {
    let unwritten = Location::missing("entry.load_balancer");
    let message = "tasks have no address that stays the same, so Airflow on ECS requires a load balancer";
    let hint = "set `load_balancer = \"internet_facing\"` or `load_balancer = \"internal\"`";
    problems.conflict(at(&file.entry.load_balancer).unwrap_or(&unwritten), message, hint);
}

/// Reports what keeps the API server's host from being reached.
pub fn without_balancer(file: &File, airflow: Option<&Airflow>, nat: Option<Nat>, problems: &mut Problems) {
    if let Some(vpc) = at(&file.network.vpc_id) {
        let message = "in an existing VPC, only a load balancer gives Airflow an address that stays the same";
        problems.conflict(vpc, message, BALANCER);
    } else if nat.is_some_and(|nat| nat != Nat::None) {
        let balancer = Location::missing("entry.load_balancer");
        let location = at(&file.network.nat).or(at(&file.entry.load_balancer)).unwrap_or(&balancer);
        let message = "behind NAT, nobody can reach the API server without a load balancer";
        let hint = format!("set `nat = \"none\"` under `[network]`, or {BALANCER}");
        problems.conflict(location, message, hint);
    }
    if let (Some(location), Some(Airflow { url: Some(url), port, .. })) = (at(&file.airflow.url), airflow) {
        url_fits(location, url, *port, problems);
    }
}

/// Reports an address at which the API server itself cannot answer.
fn url_fits(location: &Location, url: &Url, port: u16, problems: &mut Problems) {
    if url.is_https() {
        let hint = format!("{BALANCER}, or start the address with `http://`");
        problems.conflict(location, "`https` requires a load balancer", hint);
    }
    let written = url.port().unwrap_or(if url.is_https() { 443 } else { 80 });
    if written != port && !url.is_https() {
        let message = format!("the API server listens on port {port}, not {written}");
        problems.conflict(location, message, format!("end the address with `:{port}`, or {BALANCER}"));
    }
    if url.is_address() {
        let message = "the stack reserves the IP address, so it cannot be known beforehand";
        let hint = "remove `url`, or use a DNS name that you point to the output `AddressName` of the stack";
        problems.conflict(location, message, hint);
    }
}
