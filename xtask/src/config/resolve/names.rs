//! Names that AWS would refuse in the middle of a deployment.

use crate::config::environment::{Broker, Entry};
use crate::config::file::File;
use crate::config::problems::{Place, Problems, Wrong};
use crate::config::values::{BrokerKind, EnvironmentName, LoadBalancer, ProjectName, WorkerSetName};
use crate::model::names;

/// What is named after the stack, what comes behind its name, and how long AWS lets the whole be.
struct Derived {
    what: &'static str,
    suffix: String,
    most: usize,
}

pub fn fit(
    project: &ProjectName,
    name: &EnvironmentName,
    entry: Option<&Entry>,
    broker: Option<&Broker>,
    written: &File,
    problems: &mut Problems,
) {
    let nowhere = Place { key: String::new(), line: None };
    let place = written.project.as_ref().map_or(&nowhere, |written| &written.place);
    let stack = names::stack(project.as_str(), name.as_str());
    if stack == names::BOOTSTRAP_STACK {
        let message =
            format!("the stack of this environment would be `{stack}`, which holds the artifact bucket");
        problems.invalid(place, Wrong::new(message, "give the file another name"));
    }
    let balancer = entry.is_some_and(|entry| entry.load_balancer != LoadBalancer::None);
    let queues = broker.is_some_and(|broker| broker.kind == BrokerKind::Sqs);
    let all = derived(written, balancer, queues);
    let excess = |derived: &Derived| (stack.len() + derived.suffix.len()).saturating_sub(derived.most);
    let Some(worst) = all.iter().max_by_key(|derived| excess(derived)).filter(|worst| excess(worst) > 0)
    else {
        return;
    };
    let Derived { what, suffix, most } = worst;
    let length = stack.len() + suffix.len();
    let message = format!("too long: the name of the {what} would have {length} characters, {most} at most");
    let hint = format!("shorten the name of the project by {} characters", excess(worst));
    problems.report("name_too_long", place, Wrong::new(message, hint));
}

/// CloudFormation ends the name of a nested stack in 13 characters of its own.
fn derived(written: &File, balancer: bool, queues: bool) -> Vec<Derived> {
    let mut all = vec![
        Derived { what: "stack", suffix: String::new(), most: 128 },
        Derived { what: "CodeDeploy application", suffix: String::new(), most: 100 },
    ];
    if balancer {
        let suffix = "-entry-XXXXXXXX".to_owned();
        all.push(Derived { what: "bucket of access logs", suffix, most: 63 });
    }
    for (name, _) in &written.workers {
        let Ok(name) = WorkerSetName::parse(&name.value) else { continue };
        let suffix = format!("-{}-XXXXXXXXXXXXX-WorkerQueue-XXXXXXXXXXXXX", name.prefix());
        all.push(Derived { what: "nested stack", suffix, most: 128 });
        if queues {
            let suffix = format!("_{name}_XXXXXXXX_dead");
            all.push(Derived { what: "queue", suffix, most: 80 });
        }
    }
    all
}
