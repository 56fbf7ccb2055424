//! Retention, monitoring, the sleep schedule, and the user's additional templates.

use super::check::{at, flag};
use super::defaults::Defaults;
use crate::config::environment::{Additional, Monitoring, Schedule, Storage};
use crate::config::file::{self, File};
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::values::{self, Address, Cron, FolderPath, TimeZone};

const LOG_RETENTION_DAYS: u32 = 365;
const SERVICE_LOG_RETENTION_DAYS: u32 = 30;
/// What CloudWatch accepts
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>).
const CLOUDWATCH_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub fn storage(written: &File, problems: &mut Problems) -> Result<Storage, Reported> {
    let vault = problems.number_or(&written.backup.retention_days, 0, 0..=3650, "days");
    let logs = problems.number_or(&written.logs.retention_days, LOG_RETENTION_DAYS, 1..=3650, "days");
    Ok(Storage {
        shared_files: flag(&written.files.shared, false),
        vault_retention_days: vault?,
        log_retention_days: logs?,
    })
}

pub fn monitoring(
    written: &File,
    defaults: Defaults,
    problems: &mut Problems,
) -> Result<Monitoring, Reported> {
    let budget = problems.number_or(&written.alerts.budget_usd, 0, 0..=10_000_000, "dollars");
    let retention = service_log_retention(&written.logs.service_retention_days, problems);
    let email = problems.text(&written.alerts.email, Address::parse);
    Ok(Monitoring {
        service_log_retention_days: retention?,
        alert_email: email?,
        budget_usd: budget?,
        audit_trail: flag(&written.audit.trail, defaults.protected),
    })
}

fn service_log_retention(written: &file::Number, problems: &mut Problems) -> Result<u32, Reported> {
    let days = problems.number_or(written, SERVICE_LOG_RETENTION_DAYS, 1..=3653, "days")?;
    let next = CLOUDWATCH_DAYS.into_iter().find(|known| *known >= days).unwrap_or(3653);
    match at(written) {
        Some(location) if next != days => {
            let message = format!("CloudWatch does not support a retention of {days} days");
            let hint = format!("use {next}, the next number of days that it supports");
            Err(problems.invalid(location, Refusal::new(message, hint)))
        }
        _ => Ok(days),
    }
}

pub fn schedule(
    written: &file::Schedule,
    of_services: bool,
    problems: &mut Problems,
) -> Result<Option<Schedule>, Reported> {
    let parse = if of_services { of_a_service } else { Cron::parse };
    let sleep = problems.text(&written.sleep, parse);
    let wake = problems.text(&written.wake, parse);
    let time_zone = problems.text(&written.time_zone, TimeZone::parse).map(Option::unwrap_or_default);
    match (at(&written.sleep), at(&written.wake)) {
        (Some(sleep), None) => {
            let hint = "add `wake`: without it, worker hosts never come back";
            problems.conflict(sleep, "`sleep` requires `wake`", hint);
        }
        (None, Some(wake)) => {
            problems.conflict(wake, "`wake` requires `sleep`", "add `sleep`, or remove `wake`");
        }
        (Some(_), Some(location)) if sleep.is_ok() && sleep == wake => {
            let hint = "use different times for `wake` and `sleep`";
            problems.conflict(location, "`wake` and `sleep` are at the same time", hint);
        }
        _ => {}
    }
    let (sleep, wake, time_zone) = (sleep?, wake?, time_zone?);
    Ok(sleep.zip(wake).map(|(sleep, wake)| Schedule { sleep, wake, time_zone }))
}

/// What scales services takes days of one kind only.
fn of_a_service(text: &str) -> Result<Cron, Refusal> {
    let cron = Cron::parse(text)?;
    if cron.application_auto_scaling().is_some() {
        return Ok(cron);
    }
    let message =
        format!("on ECS, a schedule has days of the month or days of the week, and `{text}` has both");
    Err(Refusal::new(message, "write `*` for one of the two"))
}

pub fn additional(written: &file::Additional, problems: &mut Problems) -> Result<Additional, Reported> {
    let templates = problems.text(&written.templates, FolderPath::parse);
    for (name, value) in &written.parameters {
        if let Err(refusal) = values::parameter(name, &value.value) {
            problems.invalid(&value.location, refusal);
        }
    }
    if let (None, Some((_, first))) = (&written.templates, written.parameters.first()) {
        let hint = "add `templates = \"…\"` under `[additional]`: the folder with the templates \
                    that declare these parameters";
        problems.conflict(&first.location, "parameters require `additional.templates`", hint);
    }
    let parameters = written.parameters.iter().map(|(name, value)| (name.clone(), value.value.clone()));
    Ok(Additional { templates: templates?, parameters: parameters.collect() })
}
