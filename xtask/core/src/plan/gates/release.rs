//! Gate: the release is one that the environment takes, by `[release]` in its file.

use super::{Fact, Facts, Verdict};
use crate::config::ReleaseRules;
use crate::fail::Problem;
use crate::model::commit::Commit;
use crate::model::git::short;
use std::time::Duration;

/// Where the artifacts were before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promoted {
    pub environment: String,
    pub release: String,
    /// How long ago that environment got the release.
    pub age: Duration,
}

/// What is asked of a release, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The environment that it is for.
    pub environment: String,
    pub rules: ReleaseRules,
    pub promoted: Option<Promoted>,
    /// Of the tree it was made of.
    pub commit: Option<Commit>,
    /// At that commit, as far as this clone knows.
    pub tags: Vec<String>,
}

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.delivery {
        Fact::Unneeded(why) => Verdict::Skipped(why),
        Fact::Known(delivery) => {
            let problems = [source(delivery), age(delivery), tag(delivery)].into_iter().flatten();
            let located = |(key, message, hint): (&str, String, String)| {
                Problem::new("release", format!("{} `release.{key}`", facts.file), message, hint)
            };
            let name = &delivery.environment;
            Verdict::of(&format!("`{name}` does not take this release"), problems.map(located).collect())
        }
    }
}

type Refused = Option<(&'static str, String, String)>;

fn source(delivery: &Delivery) -> Refused {
    let wanted = delivery.rules.from.as_ref()?.as_str();
    let found = delivery.promoted.as_ref().map(|promoted| promoted.environment.as_str());
    let of = match found {
        Some(found) if found == wanted => return None,
        Some(found) => format!("of `{found}`"),
        None => "made of a tree".to_owned(),
    };
    let message = format!("releases come from `{wanted}`, and this one is {of}");
    let hint = format!(
        "promote what was tested there: cargo xtask deploy --env {} --from {wanted}",
        delivery.environment
    );
    Some(("from", message, hint))
}

fn age(delivery: &Delivery) -> Refused {
    let promoted = delivery.promoted.as_ref()?;
    let missing = delivery.rules.min_age.checked_sub(promoted.age).filter(|missing| !missing.is_zero())?;
    let hours = |time: Duration| time.as_secs() / 3600;
    let message = format!(
        "`{}` has had release {} for {} h, and {} h are asked for",
        promoted.environment,
        promoted.release,
        hours(promoted.age),
        hours(delivery.rules.min_age)
    );
    let minutes = missing.as_secs().div_ceil(60);
    let hint = format!(
        "deploy in {} h {} min, or name an older release: --from {}@RELEASE",
        minutes / 60,
        minutes % 60,
        promoted.environment
    );
    Some(("min_age_hours", message, hint))
}

fn tag(delivery: &Delivery) -> Refused {
    let wanted = delivery.rules.tag.as_ref()?;
    let commit = delivery.commit.as_ref();
    let clean = commit.filter(|commit| !commit.dirty);
    if clean.is_some() && delivery.tags.iter().any(|tag| matches(wanted, tag)) {
        return None;
    }
    let found = match (clean, commit) {
        (Some(clean), _) if delivery.tags.is_empty() => format!("commit {} has none here", short(&clean.id)),
        (Some(clean), _) => format!("commit {} has {}", short(&clean.id), delivery.tags.join(", ")),
        (None, Some(dirty)) => format!("the tree differed from commit {}", short(&dirty.id)),
        (None, None) => "the tree was not in git".to_owned(),
    };
    let message = format!("the commit needs a tag like `{wanted}`, and {found}");
    let hint = "tag the commit of the release, or fetch its tags: git fetch --tags".to_owned();
    Some(("tag", message, hint))
}

/// Whether the text is like the pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, rest)) => text.strip_prefix(begin).is_some_and(|text| {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// The problem if the phrase that `file` asks for was not given.
#[must_use]
pub fn unconfirmed(file: &str, wanted: Option<&str>, given: Option<&str>) -> Option<Problem> {
    let wanted = wanted.filter(|wanted| given != Some(wanted))?;
    let message = match given {
        Some(given) => format!("a deployment has to be confirmed by `{wanted}`, not by `{given}`"),
        None => format!("a deployment has to be confirmed by `{wanted}`"),
    };
    let hint = format!("run the same command with --confirm '{wanted}'");
    Some(Problem::new("release", format!("{file} `release.confirm`"), message, hint))
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use crate::config::EnvironmentName;

    fn commit(dirty: bool) -> Commit {
        Commit { id: "0123456789abcdef".to_owned(), author: None, dirty }
    }

    fn delivery() -> Delivery {
        let promoted = Promoted {
            environment: "staging".to_owned(),
            release: "0123456789ab".to_owned(),
            age: Duration::from_secs(24 * 3600),
        };
        Delivery {
            environment: "prod".to_owned(),
            rules: ReleaseRules {
                from: EnvironmentName::parse("staging").ok(),
                min_age: Duration::from_secs(24 * 3600),
                tag: Some("v*".to_owned()),
                confirm: None,
            },
            promoted: Some(promoted),
            commit: Some(commit(false)),
            tags: vec!["v1.2".to_owned()],
        }
    }

    fn told(delivery: &Delivery) -> Vec<Problem> {
        match judge(&Facts { delivery: Fact::Known(delivery.clone()), ..facts() }) {
            Verdict::Passed => Vec::new(),
            Verdict::Refused(_, problems) => problems,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_environment_asks_for_passes_and_everything_else_is_told_together() {
        assert!(told(&delivery()).is_empty());
        let young = Promoted { age: Duration::from_secs(3600 * 22 + 1), ..delivery().promoted.unwrap() };
        let young = Promoted { environment: "dev".to_owned(), ..young };
        let all = told(&Delivery { promoted: Some(young), tags: Vec::new(), ..delivery() });
        let lines: Vec<String> =
            all.iter().map(|p| format!("{}: {}; {}", p.location, p.message, p.hint)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        environments/dev.toml `release.from`: releases come from `staging`, and this one is of `dev`; promote what was tested there: cargo xtask deploy --env prod --from staging
        environments/dev.toml `release.min_age_hours`: `dev` has had release 0123456789ab for 22 h, and 24 h are asked for; deploy in 2 h 0 min, or name an older release: --from dev@RELEASE
        environments/dev.toml `release.tag`: the commit needs a tag like `v*`, and commit 0123456 has none here; tag the commit of the release, or fetch its tags: git fetch --tags
        ");
    }

    #[test]
    fn a_tree_is_refused_and_so_is_a_dirty_one_with_a_tag() {
        let tree = told(&Delivery { promoted: None, ..delivery() });
        assert_eq!(tree.len(), 1, "no age without a source");
        assert!(tree[0].message.ends_with("this one is made of a tree"), "{:?}", tree[0]);
        let dirty = told(&Delivery { commit: Some(commit(true)), ..delivery() });
        assert!(dirty[0].message.ends_with("the tree differed from commit 0123456"), "{:?}", dirty[0]);
    }

    #[test]
    fn patterns_of_tags() {
        for (pattern, tag, fits) in [
            ("v*", "v1", true),
            ("v*", "av1", false),
            ("v1", "v10", false),
            ("*-rc*", "v1-rc2", true),
            ("release/*.0", "release/3.0", true),
            ("release/*.0", "release/3.1", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, tag), fits, "{pattern} {tag}");
        }
    }

    #[test]
    fn the_phrase_has_to_be_the_very_one() {
        assert_eq!(unconfirmed("f", None, None), None);
        assert_eq!(unconfirmed("f", Some("prod"), Some("prod")), None);
        for given in [None, Some("staging")] {
            let problem = unconfirmed("environments/prod.toml", Some("prod"), given).unwrap();
            assert_eq!(problem.location, "environments/prod.toml `release.confirm`");
            assert_eq!(problem.hint, "run the same command with --confirm 'prod'");
        }
    }
}
