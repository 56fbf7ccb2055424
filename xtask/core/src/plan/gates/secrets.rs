//! Gate: secrets that only people can create exist. A host that misses one would only say so when it starts.

use super::{Fact, Facts, NeededSecret, Verdict};
use crate::fail::Problem;
use crate::model::account::SecretState;
use crate::model::names;

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.secrets {
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(needed) => {
            Verdict::of("secrets are missing", needed.iter().filter_map(problem).collect())
        }
    }
}

pub(super) fn problem(secret: &NeededSecret) -> Option<Problem> {
    let (kind, which, hint) = match &secret.state {
        SecretState::Usable => return None,
        SecretState::Missing => ("missing_secret", "which does not exist".to_owned(), create(&secret.id)),
        SecretState::Deleted => (
            "deleted_secret",
            "which is scheduled for deletion".to_owned(),
            format!("bring it back: aws secretsmanager restore-secret --secret-id {}", secret.id),
        ),
        SecretState::Locked { key, state } => (
            "locked_secret",
            format!("which nobody can read: its KMS key is in the state {state}"),
            format!(
                "enable the key, or store the secret with another one: aws kms enable-key --key-id {key}"
            ),
        ),
    };
    let message = format!("needs the secret `{}`, {which}", secret.id);
    Some(Problem::new(kind, &secret.location, message, hint))
}

fn create(id: &str) -> String {
    let own = id.strip_prefix(names::SECRETS).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
    match own {
        Some((environment, name)) => format!("store it: cargo xtask secret set {name} --env {environment}"),
        None => "correct the ARN, or create the secret".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn a_missing_secret_is_named_with_its_key_and_the_command() {
        let location = "environments/dev.toml `login.google`".to_owned();
        let secret = |id: &str, state| NeededSecret { location: location.clone(), id: id.to_owned(), state };
        let locked = SecretState::Locked { key: "k".to_owned(), state: "Disabled".to_owned() };
        let needed = vec![
            secret("there", SecretState::Usable),
            secret("ductwork/dev/login/google", SecretState::Missing),
            secret("a", SecretState::Deleted),
            secret("b", locked),
        ];
        let facts = Facts { secrets: Fact::Known(needed), ..facts() };
        let Verdict::Refused(_, problems) = judge(&facts) else { panic!("it passed") };
        assert_eq!(problems.len(), 3);
        assert_eq!(problems[1].message, "needs the secret `a`, which is scheduled for deletion");
        assert!(problems[2].message.ends_with("its KMS key is in the state Disabled"));
        assert_eq!(problems[0].location, "environments/dev.toml `login.google`");
        assert!(problems[0].hint.contains("cargo xtask secret set login/google --env dev"));
    }
}
