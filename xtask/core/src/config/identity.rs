//! Guards against deploying to the wrong account or region, or with rights in another environment.

use super::environment::Environment;
use super::values::EnvironmentName;
use crate::fail::{Fail, Problem, Result};

impl EnvironmentName {
    /// Whether one of the two names is the other one followed by a hyphen and more.
    #[must_use]
    pub fn begins_or_continues(&self, other: &str) -> bool {
        continues(self.as_str(), other) || continues(other, self.as_str())
    }
}

fn continues(long: &str, short: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'))
}

impl Environment {
    /// A problem if the GitHub role of one environment has rights in the other. The role of `dev` may touch
    /// resources whose names start with `<project>-dev-`, which includes those of an environment `dev-2`.
    /// `file` is the file of this environment.
    #[must_use]
    pub fn in_reach_with(&self, other: &Environment, file: &str) -> Option<Problem> {
        let (short, long) =
            if continues(self.name.as_str(), other.name.as_str()) { (other, self) } else { (self, other) };
        let beside = self.project == other.project
            && self.aws.account == other.aws.account
            && continues(long.name.as_str(), short.name.as_str());
        (beside && short.github.repository.is_some()).then(|| {
            let message = format!(
                "the role with which GitHub deploys `{}` could deploy `{}` too: the stack name of the first is a \
                 prefix of the second",
                short.name, long.name
            );
            let hint = "rename one of the two environments, for example to a name without a hyphen";
            Problem::new("within_reach", format!("{file} `github.repository`"), message, hint)
        })
    }

    /// Compares the account of the credentials, and the region of the shell (`AWS_REGION`) if it is set,
    /// with the environment file. Call it before anything is written.
    ///
    /// The region of the file is the one that is used. A shell with another region is refused all the same:
    /// whoever set it probably means another environment.
    ///
    /// # Errors
    /// Usage, with a problem for each value that differs.
    pub fn check_identity(&self, account: &str, region: Option<&str>) -> Result<()> {
        let mut problems = Vec::new();
        let location = |key: &str| format!("environments/{}.toml `{key}`", self.name);
        let here = &self.aws;
        if account != here.account.as_str() {
            problems.push(Problem::new(
                "wrong_account",
                location("aws.account"),
                format!(
                    "the credentials belong to account `{account}`, but the environment is in `{}`",
                    here.account
                ),
                format!(
                    "use another --env, or credentials of account {}: export AWS_PROFILE=…",
                    here.account
                ),
            ));
        }
        // The local cloud has one region, whatever the shell is set to.
        let region = region.filter(|_| !self.is_local());
        if let Some(region) = region.filter(|region| *region != here.region.as_str()) {
            problems.push(Problem::new(
                "wrong_region",
                location("aws.region"),
                format!(
                    "AWS_REGION or AWS_DEFAULT_REGION is `{region}`, but the environment is in `{}`",
                    here.region
                ),
                format!("unset the variable, or set it: export AWS_REGION={}", here.region),
            ));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Fail::problems(
            format!("the credentials or the shell do not match environment `{}`", self.name),
            problems,
        ))
    }
}
