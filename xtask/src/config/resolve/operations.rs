//! What is kept, what is recorded, when hosts sleep, and templates of the user's own.

use super::Given;
use super::check::truth;
use crate::config::environment::{Additional, Schedule, Storage, Watch};
use crate::config::file::{self, File};
use crate::config::problems::{Problems, Wrong};
use crate::config::values::{self, Address, Cron, FolderPath, TimeZone};

const LOG_RETENTION_DAYS: u32 = 365;
const SERVICE_LOG_RETENTION_DAYS: u32 = 30;
/// What CloudWatch allows
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>).
const CLOUDWATCH_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub fn storage(written: &File, problems: &mut Problems) -> Storage {
    let vault = problems.number(written.backup.retention_days.as_ref(), 0..=3650, "days");
    let logs = problems.number(written.logs.retention_days.as_ref(), 1..=3650, "days");
    Storage {
        shared_files: truth(written.files.shared.as_ref(), false),
        vault_retention_days: vault.unwrap_or(0),
        log_retention_days: logs.unwrap_or(LOG_RETENTION_DAYS),
    }
}

pub fn watch(written: &File, given: Given, problems: &mut Problems) -> Watch {
    let budget = problems.number(written.alerts.budget_usd.as_ref(), 0..=10_000_000, "dollars");
    Watch {
        service_log_retention_days: service_logs(&written.logs, problems),
        alert_email: problems.text(written.alerts.email.as_ref(), Address::parse),
        budget_usd: budget.unwrap_or(0),
        audit_trail: truth(written.audit.trail.as_ref(), given.protected),
    }
}

fn service_logs(written: &file::Logs, problems: &mut Problems) -> u32 {
    let days = problems.number(written.service_retention_days.as_ref(), 1..=3653, "days");
    let days = days.unwrap_or(SERVICE_LOG_RETENTION_DAYS);
    if let Some(written) =
        written.service_retention_days.as_ref().filter(|_| !CLOUDWATCH_DAYS.contains(&days))
    {
        let next = CLOUDWATCH_DAYS.iter().find(|known| **known > days).unwrap_or(&SERVICE_LOG_RETENTION_DAYS);
        let message = format!("CloudWatch keeps no logs for {days} days");
        problems.invalid(&written.place, Wrong::new(message, format!("write {next}, the next that it does")));
    }
    days
}

pub fn schedule(written: &file::Schedule, problems: &mut Problems) -> Option<Schedule> {
    let sleep = problems.text(written.sleep.as_ref(), Cron::parse);
    let wake = problems.text(written.wake.as_ref(), Cron::parse);
    let time_zone = problems.text(written.time_zone.as_ref(), TimeZone::parse).unwrap_or_default();
    match (&written.sleep, &written.wake) {
        (Some(sleep), None) => {
            let hint = "add `wake`, or worker hosts never come back";
            problems.conflict(&sleep.place, Wrong::new("`sleep` without `wake`", hint));
        }
        (None, Some(wake)) => {
            problems.conflict(&wake.place, Wrong::new("`wake` without `sleep`", "add `sleep`, or remove it"));
        }
        (Some(_), Some(written)) if wake.is_some() && sleep == wake => {
            let hint = "write another time for one of the two";
            problems.conflict(&written.place, Wrong::new("`wake` and `sleep` are the same time", hint));
        }
        _ => {}
    }
    Some(Schedule { sleep: sleep?, wake: wake?, time_zone })
}

pub fn additional(written: &file::Additional, problems: &mut Problems) -> Additional {
    let templates = problems.text(written.templates.as_ref(), FolderPath::parse);
    for (name, value) in &written.parameters {
        if let Err(wrong) = values::parameter(name, &value.value) {
            problems.invalid(&value.place, wrong);
        }
    }
    if let Some((_, first)) = written.parameters.first().filter(|_| written.templates.is_none()) {
        let hint =
            "add `templates = \"…\"` below `[additional]`, the folder with the templates that take them";
        problems.conflict(&first.place, Wrong::new("parameters for no template", hint));
    }
    let parameters = written.parameters.iter().map(|(name, value)| (name.clone(), value.value.clone()));
    Additional { templates, parameters: parameters.collect() }
}
