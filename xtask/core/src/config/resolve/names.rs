//! Names of AWS resources that would be too long, or taken, and fail in the middle of a deployment.

use super::check::at;
use crate::config::file::File;
use crate::config::problems::{Location, Problems, Refusal};
use crate::config::values::{BrokerKind, EnvironmentName, LoadBalancer, ProjectName, WorkerSetName};
use crate::model::names;

/// What names are derived from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub project: &'a ProjectName,
    pub name: &'a EnvironmentName,
    pub balancer: Option<LoadBalancer>,
    pub broker: Option<BrokerKind>,
    pub audit_trail: bool,
}

/// A name that starts with the name of the stack.
struct Derived {
    what: &'static str,
    suffix: String,
    /// The limit of AWS for the whole name.
    most: usize,
}

pub fn fit(origin: Origin, written: &File, problems: &mut Problems) {
    let unwritten = Location::default();
    let location = at(&written.project).unwrap_or(&unwritten);
    let stack = names::stack(origin.project, origin.name);
    if stack == names::BOOTSTRAP_STACK {
        let message = format!("the stack name `{stack}` is reserved for the stack with the artifact bucket");
        problems.invalid(location, Refusal::new(message, "give the environment file another name"));
    }
    let length = |derived: &Derived| stack.len() + derived.suffix.len();
    let excess = |derived: &Derived| length(derived).saturating_sub(derived.most);
    let all = derived(origin, written);
    if let Some(worst) = all.iter().max_by_key(|derived| excess(derived)).filter(|worst| excess(worst) > 0) {
        let Derived { what, most, .. } = worst;
        let message =
            format!("the name of the {what} would be {} characters long, the limit is {most}", length(worst));
        let hint = format!("shorten the project name by {} characters", excess(worst));
        problems.report("name_too_long", location, Refusal::new(message, hint));
    }
}

fn derived(origin: Origin, written: &File) -> Vec<Derived> {
    let mut all = vec![
        Derived { what: "stack", suffix: String::new(), most: 128 },
        Derived { what: "CodeDeploy application", suffix: String::new(), most: 100 },
    ];
    if origin.balancer.is_some_and(|balancer| balancer != LoadBalancer::None) {
        let suffix = "-entry-XXXXXXXX".to_owned();
        all.push(Derived { what: "bucket of access logs", suffix, most: 63 });
    }
    if origin.audit_trail {
        let suffix = "-audit-XXXXXXXX".to_owned();
        all.push(Derived { what: "bucket of the audit trail", suffix, most: 63 });
    }
    for (name, _) in &written.workers {
        let Ok(name) = WorkerSetName::parse(&name.value) else { continue };
        // CloudFormation appends 13 characters of its own to the name of a nested stack.
        let suffix = format!("-{}-XXXXXXXXXXXXX-WorkerQueue-XXXXXXXXXXXXX", name.prefix());
        all.push(Derived { what: "nested stack", suffix, most: 128 });
        if origin.broker == Some(BrokerKind::Sqs) {
            let suffix = format!("_{name}_XXXXXXXX_dead");
            all.push(Derived { what: "queue", suffix, most: 80 });
        }
    }
    all
}
