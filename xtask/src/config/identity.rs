//! Whether the credentials and the shell point to where the environment lives.

use super::environment::Environment;
use super::values::EnvironmentName;
use crate::fail::{Fail, Problem, Result};

impl EnvironmentName {
    /// Whether one of the two names is the other, a hyphen and more.
    #[must_use]
    pub fn begins_or_continues(&self, other: &str) -> bool {
        continues(self.as_str(), other) || continues(other, self.as_str())
    }
}

fn continues(long: &str, short: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'))
}

impl Environment {
    /// The role with which GitHub deploys `dev` is known by names that begin with `<project>-dev-`, as those
    /// of an environment `dev-2` would: it could deploy that one as well. `file` is this environment's.
    #[must_use]
    pub fn in_reach_with(&self, other: &Environment, file: &str) -> Option<Problem> {
        let (short, long) =
            if continues(self.name.as_str(), other.name.as_str()) { (other, self) } else { (self, other) };
        let beside = self.project == other.project
            && self.aws.account == other.aws.account
            && continues(long.name.as_str(), short.name.as_str());
        (beside && short.github.repository.is_some()).then(|| {
            let message = format!(
                "the role with which GitHub deploys `{}` could deploy `{}` too: the stack's name of one begins the other's",
                short.name, long.name
            );
            let hint = "rename one of the two, for instance to a name of one word";
            Problem::new("within_reach", format!("{file} `github.repository`"), message, hint)
        })
    }

    /// Compares the account of the credentials, and the region that the shell asks for if it does
    /// (`AWS_REGION`), with the file. To be called before anything is written.
    ///
    /// The region of the file is the one that counts. A shell that names another one is nevertheless
    /// refused: somebody there means another place than this environment.
    ///
    /// # Errors
    /// Usage, with a problem for each that differs.
    pub fn check_identity(&self, account: &str, region: Option<&str>) -> Result<()> {
        let mut problems = Vec::new();
        let place = |key: &str| format!("environments/{}.toml `{key}`", self.name);
        let here = &self.aws;
        if account != here.account.as_str() {
            problems.push(Problem::new(
                "wrong_account",
                place("aws.account"),
                format!(
                    "the credentials belong to account `{account}`, the environment lives in `{}`",
                    here.account
                ),
                format!("choose another --env, or log in to account {}: export AWS_PROFILE=…", here.account),
            ));
        }
        // The local cloud is where this machine says, whatever the shell is set to.
        let region = region.filter(|_| !self.is_local());
        if let Some(region) = region.filter(|region| *region != here.region.as_str()) {
            problems.push(Problem::new(
                "wrong_region",
                place("aws.region"),
                format!(
                    "AWS_REGION or AWS_DEFAULT_REGION is `{region}`, the environment lives in `{}`",
                    here.region
                ),
                format!("set it, or unset it: export AWS_REGION={}", here.region),
            ));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Fail::problems(format!("this is not where `{}` lives", self.name), problems))
    }
}
