//! What CloudFormation takes of the composed master at most. Each worker set adds to it, so an environment with too
//! many of them is refused here, with the number that fits, and not by AWS in the middle of a deployment.
//!
//! The numbers are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>.

use super::{Additions, Composer, MASTER, Master};
use crate::model::text::count;
use serde_json::Value;

const SECTIONS: [(&str, &str, usize); 3] =
    [("Outputs", "outputs", 200), ("Parameters", "parameters", 200), ("Resources", "resources", 500)];
/// Bytes of the value of a parameter.
const VALUE: usize = 4096;
/// What CloudFormation fills in for a reference is at least as long as the host name and account of a queue.
const REFERENCE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/q";

impl Composer {
    /// Reports what is more than CloudFormation takes.
    pub(super) fn limits(&mut self, master: &mut Master, additions: &Additions) {
        let sets = additions.worker_sets.len();
        for (section, word, most) in SECTIONS {
            let names: Vec<&String> = master.section(section).keys().collect();
            if names.len() <= most {
                continue;
            }
            let all = names.len();
            let of_a_set = |name: &&&String| {
                additions
                    .worker_sets
                    .iter()
                    .any(|set| name.strip_prefix(&set.prefix).is_some_and(ends_the_id))
            };
            let of_sets = names.iter().filter(of_a_set).count();
            let each = of_sets / sets.max(1);
            let fit = most.saturating_sub(all - each * sets).checked_div(each).unwrap_or(sets);
            self.too_many(&format!("{all} {word}"), &format!("{most} in a template"), sets, fit);
        }
        let longest = master.stacks().iter().flat_map(|(_, stack)| values(stack)).max();
        if let Some((bytes, name)) = longest.filter(|(bytes, _)| *bytes > VALUE) {
            let what = format!("at least {bytes} bytes in the parameter `{name}`");
            self.too_many(&what, &format!("{VALUE} in a value"), sets, sets * VALUE / bytes);
        }
    }

    fn too_many(&mut self, what: &str, most: &str, sets: usize, fit: usize) {
        let with = count(sets, "worker set");
        let message = format!("with {with} it has {what}, and CloudFormation takes {most}");
        let hint = if fit < sets {
            format!("have at most {}, or more than one environment", count(fit, "worker set"))
        } else {
            "take something out of the templates".to_owned()
        };
        self.problem("too_many", MASTER, message, hint);
    }
}

/// Whether what follows a prefix begins a word of its own: `WorkerA` is no part of `WorkerAbcQueueUrl`.
fn ends_the_id(rest: &str) -> bool {
    rest.chars().next().is_none_or(char::is_uppercase)
}

/// How long the values are that a nested stack is given, each with its name.
fn values(stack: &Value) -> Vec<(usize, String)> {
    let given = stack["Properties"]["Parameters"].as_object().into_iter().flatten();
    given.map(|(name, value)| (length(value), name.clone())).collect()
}

/// Fewest bytes of a value.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Object(call) => match call.iter().next() {
            Some((name, parts)) if name == "Fn::Join" => {
                let glue = parts[0].as_str().map_or(0, str::len);
                let parts = parts[1].as_array().map(Vec::as_slice).unwrap_or_default();
                parts.iter().map(length).sum::<usize>() + glue * parts.len().saturating_sub(1)
            }
            Some((name, _)) if name == "Fn::GetAtt" => REFERENCE.len(),
            _ => 0,
        },
        _ => 0,
    }
}
