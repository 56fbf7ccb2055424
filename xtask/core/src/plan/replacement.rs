//! Whether a rollout changes the hosts of a worker set in place, or has others launched in their stead.

use crate::config::LONGEST_HOOK;
use std::time::Duration;

/// A worker set as a rollout meets it.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Hosts that take tasks now.
    pub now: usize,
    /// Hosts that it never has less of.
    pub fewest: usize,
    /// The name of CodeDeploy's deployment configuration.
    pub config: &'a str,
    /// How long a worker may drain.
    pub budget: Duration,
}

impl Set<'_> {
    /// Why its hosts have to be replaced; none if they can be changed in place.
    #[must_use]
    pub fn replaced_because(&self) -> Option<&'static str> {
        if self.now == 0 {
            None
        } else if self.budget > LONGEST_HOOK {
            Some("its workers may drain for longer than CodeDeploy waits")
        } else if self.now.saturating_sub(self.at_once()) < self.fewest {
            Some("in place, fewer workers than `min` would be left")
        } else {
            None
        }
    }

    /// How many hosts CodeDeploy takes out of service at the same time
    /// (<https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html>).
    fn at_once(&self) -> usize {
        match self.config.rsplit('.').next() {
            Some("AllAtOnce") => self.now,
            Some("HalfAtATime") => (self.now / 2).max(1),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(now: usize, fewest: usize, config: &str, minutes: u64) -> bool {
        let config = format!("CodeDeployDefault.{config}");
        let budget = Duration::from_secs(60 * minutes);
        Set { now, fewest, config: &config, budget }.replaced_because().is_some()
    }

    #[test]
    fn in_place_while_enough_are_left() {
        // Hosts now, `min`, and whether they are replaced: one, half, all at a time.
        let cases = [
            (0, 0, [false, false, false]),
            (1, 0, [false, false, false]),
            (1, 1, [true, true, true]),
            (2, 1, [false, false, true]),
            (2, 2, [true, true, true]),
            (5, 3, [false, false, true]),
            (5, 4, [false, true, true]),
            (6, 3, [false, false, true]),
            (0, 2, [false, false, false]),
        ];
        for (now, fewest, expected) in cases {
            let found =
                ["OneAtATime", "HalfAtATime", "AllAtOnce"].map(|config| replaced(now, fewest, config, 30));
            assert_eq!(found, expected, "{now} of at least {fewest}");
        }
    }

    #[test]
    fn a_budget_beyond_the_hook_replaces_whatever_is_there() {
        assert!(!replaced(5, 0, "OneAtATime", 55));
        assert!(replaced(5, 0, "OneAtATime", 56));
        assert!(!replaced(0, 0, "OneAtATime", 24 * 60), "nothing is there");
    }
}
