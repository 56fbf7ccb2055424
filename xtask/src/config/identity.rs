//! Whether the credentials and the shell point to where the environment lives.

use super::environment::Environment;
use super::values::Cloud;
use crate::model::problem::Problem;

/// Compares the account of the credentials, and the region that the shell asks for if it does
/// (`AWS_REGION`), with the file. To be called before anything is written.
///
/// The region of the file is the one that counts. A shell that names another one is nevertheless
/// refused: somebody there means another place than this environment.
#[must_use]
pub fn check_identity(environment: &Environment, account: &str, region: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let file = format!("environments/{}.toml", environment.name);
    let aws = &environment.aws;
    if account != aws.account.as_str() {
        problems.push(Problem::new(
            "wrong_account",
            format!("{file}: aws.account"),
            format!(
                "the credentials belong to account `{account}`, the environment lives in `{}`",
                aws.account
            ),
            format!(
                "log in to account {}, for instance: export AWS_PROFILE=…; or choose another --env",
                aws.account
            ),
        ));
    }
    // The local cloud is where this machine says, whatever the shell is set to.
    let region = region.filter(|_| aws.cloud != Cloud::Local);
    if let Some(region) = region.filter(|region| *region != aws.region.as_str()) {
        problems.push(Problem::new(
            "wrong_region",
            format!("{file}: aws.region"),
            format!("AWS_REGION is `{region}`, the environment lives in `{}`", aws.region),
            format!("set it or unset it: export AWS_REGION={}", aws.region),
        ));
    }
    problems
}
