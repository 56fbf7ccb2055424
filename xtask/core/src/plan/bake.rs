//! Whether a release that runs is worse than what ran before: by the alarms of its stack, and by how often tasks fail.

use crate::model::watched::{Alarm, Tasks};
use std::collections::BTreeSet;

/// Fewer failures say nothing: each may have its own reason.
const FEWEST_FAILURES: u32 = 5;
/// Tasks have to fail at least so many times as often as before.
const TIMES: f64 = 2.0;
/// How likely it may be that so many fail although nothing is worse. Tasks are counted about forty times in ten
/// minutes, but nearly the same ones each time, so that a good release meets this by accident once in some hundreds.
const BY_ACCIDENT: f64 = 0.001;

/// The alarms since before the release.
#[derive(Clone, Debug)]
pub struct Alarms {
    /// Those that rang before the deployment, by name; none if nobody knows.
    before: Option<BTreeSet<String>>,
    /// Those that began to ring during the rollout, and still do; none before the first look.
    restless: Option<BTreeSet<String>>,
}

impl Alarms {
    #[must_use]
    pub fn new(before: Option<BTreeSet<String>>) -> Self {
        Self { before, restless: None }
    }

    /// The alarms that speak against the release, of those that ring now. A rollout that stops a component can make
    /// its alarm ring: such a one counts only if it still rings when the time is `over`.
    pub fn look(&mut self, ringing: &[Alarm], over: bool) -> Vec<Alarm> {
        let names: BTreeSet<String> = ringing.iter().map(|alarm| alarm.name.clone()).collect();
        let before = self.before.get_or_insert_with(|| names.clone());
        let restless = match self.restless.take() {
            None => names.difference(before).cloned().collect(),
            Some(known) => known.intersection(&names).cloned().collect::<BTreeSet<_>>(),
        };
        let counts = |name: &String| !before.contains(name) && (over || !restless.contains(name));
        let found = ringing.iter().filter(|alarm| counts(&alarm.name)).cloned().collect();
        self.restless = Some(restless);
        found
    }

    /// Whether alarms that the rollout may have set off still have to fall silent.
    #[must_use]
    pub fn settling(&self) -> bool {
        self.restless.as_ref().is_some_and(|names| !names.is_empty())
    }

    /// Those that do not count, by name.
    #[must_use]
    pub fn before(&self) -> Vec<&str> {
        self.before.iter().flatten().map(String::as_str).collect()
    }
}

/// Whether tasks fail more often now than before, and it cannot well be an accident: at least five have failed, twice
/// the share of before, and Fisher's exact test finds the difference less likely than one in a thousand. Of a time
/// before in which no task ended, nothing follows.
#[must_use]
pub fn fail_more_often(before: Tasks, now: Tasks) -> bool {
    now.failed >= FEWEST_FAILURES
        && now.rate() >= TIMES * before.rate()
        && by_accident(before, now) < BY_ACCIDENT
}

/// The chance that at least so many of the failures of both times fall into the second if failures do not care when:
/// the upper tail of the hypergeometric distribution, so that it is exact for small numbers, too.
fn by_accident(before: Tasks, now: Tasks) -> f64 {
    let failed = before.failed + now.failed;
    let succeeded = before.succeeded + now.succeeded;
    let most = failed.min(now.ended());
    let first = choose(failed, now.failed) + choose(succeeded, now.succeeded)
        - choose(before.ended() + now.ended(), now.ended());
    let (mut term, mut sum) = (first.exp(), 0.0);
    for x in now.failed..=most {
        sum += term;
        let (left, taken) = (f64::from(failed - x), f64::from(now.ended() - x));
        let others = f64::from(succeeded) - taken + 1.0;
        term *= left * taken / (f64::from(x + 1) * others);
    }
    sum
}

/// The logarithm of the number of ways to choose `some` of `all`.
fn choose(all: u32, some: u32) -> f64 {
    factorial(all) - factorial(some) - factorial(all - some)
}

/// The logarithm of `n!`, by Stirling's series where that is exact enough.
fn factorial(n: u32) -> f64 {
    if n < 256 {
        return (2..=n).map(|i| f64::from(i).ln()).sum();
    }
    let n = f64::from(n);
    n * n.ln() - n + (std::f64::consts::TAU * n).ln() / 2.0 + 1.0 / (12.0 * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(failed: u32, ended: u32) -> Tasks {
        Tasks { failed, succeeded: ended - failed }
    }

    fn alarms(names: &[&str]) -> Vec<Alarm> {
        let alarm = |name: &&str| Alarm { name: (*name).to_owned(), ..Alarm::default() };
        names.iter().map(alarm).collect()
    }

    fn names(found: &[Alarm]) -> Vec<&str> {
        found.iter().map(|alarm| alarm.name.as_str()).collect()
    }

    #[test]
    fn an_alarm_counts_if_it_begins_to_ring_while_the_release_is_watched() {
        let mut watched = Alarms::new(Some(BTreeSet::from(["old".to_owned()])));
        assert_eq!(names(&watched.look(&alarms(&["old"]), false)), [""; 0]);
        assert_eq!(names(&watched.look(&alarms(&["new", "old"]), false)), ["new"]);
        assert_eq!(watched.before(), ["old"]);
    }

    #[test]
    fn one_that_the_rollout_set_off_has_until_the_end() {
        let look = |later: &[&str], over| {
            let mut watched = Alarms::new(Some(BTreeSet::new()));
            assert!(watched.look(&alarms(&["heartbeat"]), false).is_empty());
            assert!(watched.settling());
            names(&watched.look(&alarms(later), over)).len()
        };
        assert_eq!(look(&["heartbeat"], false), 0);
        assert_eq!(look(&["heartbeat"], true), 1);
        assert_eq!(look(&[], true), 0);
        let mut watched = Alarms::new(Some(BTreeSet::new()));
        watched.look(&alarms(&["heartbeat"]), false);
        watched.look(&[], false);
        assert!(!watched.settling());
        assert_eq!(names(&watched.look(&alarms(&["heartbeat"]), false)), ["heartbeat"], "it rings anew");
    }

    #[test]
    fn if_nobody_knows_what_rang_before_the_first_look_says_it() {
        let mut watched = Alarms::new(None);
        assert!(watched.look(&alarms(&["a"]), false).is_empty());
        assert!(watched.look(&alarms(&["a"]), true).is_empty());
        assert_eq!(names(&watched.look(&alarms(&["a", "b"]), false)), ["b"]);
    }

    #[test]
    fn small_numbers_are_no_reason() {
        let day = tasks(10, 1000);
        for (now, worse) in [
            (tasks(0, 0), false),
            (tasks(4, 4), false),
            (tasks(5, 20), true),
            (tasks(5, 5), true),
            (tasks(5, 300), false),
            (tasks(300, 10_000), true),
            (tasks(190, 10_000), false),
        ] {
            assert_eq!(fail_more_often(day, now), worse, "{now:?}: {}", by_accident(day, now));
        }
        assert!(!fail_more_often(tasks(0, 0), tasks(50, 50)), "there is nothing to compare with");
        assert!(!fail_more_often(tasks(0, 3), tasks(5, 9)), "nor much");
        assert!(!fail_more_often(tasks(500, 1000), tasks(8, 10)), "they fail half the time anyway");
        assert!(!fail_more_often(tasks(400, 1000), tasks(700, 1000)), "less than twice as often");
    }

    /// By hand: 5 of 5 against 0 of 10 is one of the 3003 ways to choose 5 of 15.
    #[test]
    fn the_test_is_exact() {
        let near = |chance: f64, expected: f64| assert!((chance / expected - 1.0).abs() < 1e-6, "{chance}");
        near(by_accident(tasks(0, 10), tasks(5, 5)), 1.0 / 3003.0);
        // The lady who tastes tea: at least 3 of 4 right.
        near(by_accident(tasks(1, 4), tasks(3, 4)), 17.0 / 70.0);
        near(by_accident(tasks(7, 300), tasks(0, 40)), 1.0);
        near(by_accident(tasks(1000, 100_000), tasks(10, 1000)), 0.543_319_15);
    }
}
