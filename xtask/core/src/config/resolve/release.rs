//! How releases are brought to the environment.

use super::defaults::Defaults;
use crate::config::environment::Releasing;
use crate::config::file;
use crate::config::problems::{Problems, Reported};
use std::time::Duration;

/// Longer than any alarm of the templates takes to ring and to fall silent again. Only protected environments wait:
/// in others a deployment is over when the release runs, so that an edit can be tried at once.
const BAKE_MINUTES: u32 = 10;
/// Credentials of a job last six hours at most, and the rollout and a rollback need some of that.
const MOST: u32 = 240;

pub fn release(
    written: &file::Release,
    defaults: Defaults,
    problems: &mut Problems,
) -> Result<Releasing, Reported> {
    let default = if defaults.protected { BAKE_MINUTES } else { 0 };
    let minutes = problems.number_or(&written.bake_minutes, default, 0..=MOST, "minutes")?;
    let bake = (minutes > 0).then(|| Duration::from_secs(u64::from(minutes) * 60));
    Ok(Releasing { bake })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{aws, bad, good};

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
