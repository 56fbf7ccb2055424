//! Whether a rollout changes the hosts of a worker set in place, or has others launched in their stead.

use crate::config::{Environment, LONGEST_HOOK, WorkerSet};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a hook may wait and drain, with a rest for what comes after: CodeDeploy ends it after an hour.
const HOOK: Duration = Duration::from_secs(58 * 60);
/// For what comes between two drains: packages, the start, and the checks.
const SETUP: Duration = Duration::from_secs(10 * 60);

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
    /// How long the others wait until the first one has run a task; none if they do not.
    pub canary: Option<Duration>,
}

impl Set<'_> {
    /// Why its hosts have to be replaced; none if they can be changed in place.
    #[must_use]
    pub fn replaced_because(&self) -> Option<&'static str> {
        if self.now == 0 {
            None
        } else if self.budget > LONGEST_HOOK {
            Some("its workers may drain for longer than CodeDeploy waits")
        } else if self.canary_takes() + self.budget > LONGEST_HOOK {
            Some("its workers may wait for the canary and drain for longer than CodeDeploy waits")
        } else if self.now.saturating_sub(self.at_once()) < self.fewest {
            Some("in place, fewer workers than `min` would be left")
        } else {
            None
        }
    }

    /// How long the others are in their hooks before they drain. Those whose turn comes with the canary's wait for it to
    /// drain and to be set up, too.
    fn canary_takes(&self) -> Duration {
        match self.canary.filter(|_| self.now > 1) {
            None => Duration::ZERO,
            Some(limit) if self.at_once() == 1 => limit,
            Some(limit) => self.budget + SETUP + limit,
        }
    }

    /// How long a hook waits at most for word of the canary: what is left to a worker that has to drain after that. Of
    /// hosts that were launched for the release, none has a task yet.
    #[must_use]
    pub fn longest_wait(budget: Duration, replaced: bool) -> Duration {
        if replaced { HOOK } else { HOOK.saturating_sub(budget.min(LONGEST_HOOK)) }
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

/// How many hosts of each worker set go on while as many are launched in their stead. `now` has those that take tasks, by
/// the names of the sets; without it they are as many as a deployment starts.
#[must_use]
pub fn going_on(environment: &Environment, now: Option<&BTreeMap<String, usize>>) -> BTreeMap<String, u32> {
    let Some(budget) = environment.drain() else { return BTreeMap::new() };
    let of = |set: &WorkerSet| {
        let config = set.rollout()?.to_string();
        let (name, first) = (set.name.to_string(), set.first() as usize);
        let now = now.map_or(first, |now| now.get(&name).copied().unwrap_or_default());
        let canary = environment.release.canary;
        let met = Set { now, fewest: set.min as usize, config: &config, budget, canary };
        met.replaced_because().map(|_| (name, u32::try_from(now).unwrap_or(u32::MAX)))
    };
    environment.worker_sets().iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    #[test]
    fn hosts_go_on_where_others_are_launched_in_their_stead() {
        let going_on = |more: &str, now: Option<&[(&str, usize)]>| {
            let text = format!(
                "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n\
                 [entry]\nallowed_cidrs = ['203.0.113.0/24']\n{more}"
            );
            let environment = resolve("dev", &text, "").unwrap_or_else(|problems| panic!("{problems:#?}"));
            let now = now.map(|now| now.iter().map(|(name, hosts)| ((*name).to_owned(), *hosts)).collect());
            going_on(&environment, now.as_ref()).into_iter().collect::<Vec<_>>()
        };
        let hosts = |name: &str, hosts| vec![(name.to_owned(), hosts)];
        assert_eq!(going_on("", None), hosts("default", 1), "the only worker, of a set with at least one");
        assert_eq!(going_on("", Some(&[("default", 0)])), [], "which does not run");
        let elastic = "[workers.default]\nmin = 0\nmax = 9\n";
        assert_eq!(going_on(elastic, Some(&[("default", 4)])), [], "one after the other, in place");
        let long = format!("[hosts]\ndrain_minutes = 600\n{elastic}");
        assert_eq!(going_on(&long, Some(&[("default", 4)])), hosts("default", 4));
        let small = "[workers.default]\n[workers.small]\non_scheduler = true\n";
        assert_eq!(going_on(small, None), hosts("default", 1), "the other set has no hosts");
    }

    fn replaced(now: usize, fewest: usize, config: &str, minutes: u64) -> bool {
        let config = format!("CodeDeployDefault.{config}");
        let budget = Duration::from_secs(60 * minutes);
        Set { now, fewest, config: &config, budget, canary: None }.replaced_because().is_some()
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

    #[test]
    fn so_does_a_canary_that_leaves_too_little_of_the_hook() {
        let replaced = |now, config: &str, drain: u64, canary: u64| {
            let config = format!("CodeDeployDefault.{config}");
            let (budget, canary) = (Duration::from_secs(60 * drain), Duration::from_secs(60 * canary));
            let set = Set { now, fewest: 0, config: &config, budget, canary: Some(canary) };
            let why = set.replaced_because();
            assert!(why.is_none_or(|why| why.contains("canary")), "{why:?}");
            let left = Set::longest_wait(budget, why.is_some());
            let needed = if why.is_some() { canary } else { set.canary_takes() };
            assert!(left >= needed, "the hook waits long enough");
            why.is_some()
        };
        assert!(!replaced(3, "OneAtATime", 30, 25));
        assert!(replaced(3, "OneAtATime", 30, 26));
        assert!(!replaced(1, "OneAtATime", 30, 50), "nobody waits for the only one");
        // The canary drains for 15 minutes itself, and is set up, while the others are in their hooks already.
        assert!(!replaced(4, "HalfAtATime", 15, 15));
        assert!(replaced(4, "HalfAtATime", 15, 16));
        assert!(!replaced(3, "HalfAtATime", 30, 25), "the half of three is one");
        assert!(replaced(2, "AllAtOnce", 30, 1));
    }
}
