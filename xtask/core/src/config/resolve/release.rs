//! What a release has to be before it may come to an environment, and what is done once it runs there.

use super::check::at;
use super::defaults::Defaults;
use crate::config::file;
use crate::config::problems::{Problems, Refusal, Reported};
use crate::config::releasing::{ReleaseRules, Releasing};
use crate::config::values::EnvironmentName;
use std::time::Duration;

/// Longer than any alarm of the templates takes to ring and to fall silent again. Only protected environments wait:
/// in others a deployment is over when the release runs, so that an edit can be tried at once.
const BAKE_MINUTES: u32 = 10;
/// Credentials of a job last six hours at most, and the rollout and a rollback need some of that.
const MOST: u32 = 240;
/// Hosts wait for the canary in a hook, and have to drain in what is left of CodeDeploy's hour.
const LONGEST_CANARY: u32 = 50;

pub fn release(
    written: &file::Release,
    name: Option<&EnvironmentName>,
    defaults: Defaults,
    problems: &mut Problems,
) -> Result<Releasing, Reported> {
    let default = if defaults.protected { BAKE_MINUTES } else { 0 };
    let minutes = problems.number_or(&written.bake_minutes, default, 0..=MOST, "minutes");
    let canary = problems.number_or(&written.canary_minutes, 0, 0..=LONGEST_CANARY, "minutes");
    let rules = rules(written, name, problems);
    Ok(Releasing { rules: rules?, bake: wait(minutes?), canary: wait(canary?) })
}

/// None for no time at all.
fn wait(minutes: u32) -> Option<Duration> {
    (minutes > 0).then(|| Duration::from_secs(u64::from(minutes) * 60))
}

fn rules(
    written: &file::Release,
    name: Option<&EnvironmentName>,
    problems: &mut Problems,
) -> Result<ReleaseRules, Reported> {
    let itself = |text: &str| match EnvironmentName::parse(text)? {
        from if Some(&from) == name => Err(Refusal::new(
            format!("`{text}` is this environment itself"),
            "name the environment that releases are tested in before, or remove the key",
        )),
        from => Ok(from),
    };
    let from = problems.text(&written.from, itself);
    let min_age = problems.number(&written.min_age_hours, 1..=720, "hours");
    let tag = problems.text(&written.tag, words("a pattern such as `v*`"));
    let confirm =
        problems.text(&written.confirm, words("what has to be written, such as the environment's name"));
    if written.from.is_none() {
        // Only of a release that was somewhere else before anybody knows how old it is.
        let keys = [("min_age_hours", at(&written.min_age_hours))];
        problems.no_effect(
            &keys,
            "without `from`",
            "add `from = \"staging\"`, or another environment, or remove it",
        );
    }
    Ok(ReleaseRules {
        from: from?,
        min_age: Duration::from_secs(3600 * u64::from(min_age?.unwrap_or_default())),
        tag: tag?,
        confirm: confirm?,
    })
}

/// A short line without blanks at its ends.
fn words(what: &'static str) -> impl Fn(&str) -> Result<String, Refusal> {
    move |text| {
        let good = (1..=100).contains(&text.chars().count()) && text.trim() == text && !text.contains('\n');
        let message = format!("`{text}` is not 1 to 100 characters on a line, without blanks around them");
        if good { Ok(text.to_owned()) } else { Err(Refusal::new(message, format!("write {what}"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{aws, bad, good};
    use std::time::Duration;

    #[test]
    fn an_environment_demands_what_its_file_says_and_nothing_by_default() {
        let rules = good(&aws("")).release.rules;
        assert_eq!(rules, super::ReleaseRules::default());
        let text = "[release]\nfrom = 'staging'\nmin_age_hours = 24\ntag = 'v*'\nconfirm = 'to production'\n";
        let rules = good(&aws(text)).release.rules;
        assert_eq!(rules.from.unwrap().as_str(), "staging");
        assert_eq!(rules.min_age, Duration::from_secs(24 * 3600));
        assert_eq!((rules.tag.as_deref(), rules.confirm.as_deref()), (Some("v*"), Some("to production")));
    }

    #[test]
    fn what_makes_no_sense_is_told_together() {
        let told = bad(&aws("[release]\nmin_age_hours = 0\ntag = ' v'\nconfirm = ''\nfrom = 'Staging'\n"));
        for key in ["min_age_hours", "tag", "confirm", "from"] {
            assert!(told.contains(&format!("release.{key}")), "{told}");
        }
        let told = bad(&aws("[release]\nmin_age_hours = 2\n"));
        assert!(told.contains("release.min_age_hours") && told.contains("add `from"), "{told}");
    }

    #[test]
    fn there_is_a_canary_where_it_is_asked_for() {
        let canary = |text: &str| good(text).release.canary.map(|canary| canary.as_secs() / 60);
        assert_eq!(canary(&format!("protected = true\n{}", aws(""))), None);
        assert_eq!(canary(&aws("[release]\ncanary_minutes = 0\n")), None);
        assert_eq!(canary(&aws("[release]\ncanary_minutes = 50\n")), Some(50));
        insta::assert_snapshot!(bad(&aws("[release]\ncanary_minutes = 51\n")), @r"
        environments/dev.toml:7 `release.canary_minutes`: `51` is out of range: 0 to 50 minutes [invalid_value]
            use a number from 0 to 50
        ");
    }

    #[test]
    fn protected_environments_watch_their_releases() {
        let bake = |text: &str| good(text).release.bake.map(|bake| bake.as_secs() / 60);
        assert_eq!(bake(&aws("")), None);
        assert_eq!(bake(&format!("protected = true\n{}", aws(""))), Some(10));
        assert_eq!(bake(&format!("protected = true\n{}", aws("[release]\nbake_minutes = 0\n"))), None);
        assert_eq!(bake(&aws("[release]\nbake_minutes = 30\n")), Some(30));
        insta::assert_snapshot!(bad(&aws("[release]\nbake_minutes = 241\n")), @r"
        environments/dev.toml:7 `release.bake_minutes`: `241` is out of range: 0 to 240 minutes [invalid_value]
            use a number from 0 to 240
        ");
    }
}
