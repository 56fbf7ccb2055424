//! Gate: secrets that only people can create exist. A host that misses one would only say so when it starts.

use super::{Fact, Facts, NeededSecret, Verdict};
use crate::fail::Problem;
use crate::model::names;

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.secrets {
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(needed) => {
            let missing = needed.iter().filter(|secret| !secret.exists);
            Verdict::of("secrets are missing", missing.map(problem).collect())
        }
    }
}

fn problem(secret: &NeededSecret) -> Problem {
    let id = &secret.id;
    let message = format!("needs the secret `{id}`, which does not exist");
    let own = id.strip_prefix(names::SECRETS).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
    let hint = match own {
        Some((environment, name)) => format!("store it: cargo xtask secret set {name} --env {environment}"),
        None => "correct the ARN, or create the secret".to_owned(),
    };
    Problem::new("missing_secret", &secret.location, message, hint)
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn a_missing_secret_is_named_with_its_key_and_the_command() {
        let location = "environments/dev.toml `login.google`".to_owned();
        let secret =
            |id: &str, exists| NeededSecret { location: location.clone(), id: id.to_owned(), exists };
        let needed = vec![secret("there", true), secret("ductwork/dev/login/google", false)];
        let facts = Facts { secrets: Fact::Known(needed), ..facts() };
        let Verdict::Refused(_, problems) = judge(&facts) else { panic!("it passed") };
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].location, "environments/dev.toml `login.google`");
        assert!(problems[0].hint.contains("cargo xtask secret set login/google --env dev"));
    }
}
