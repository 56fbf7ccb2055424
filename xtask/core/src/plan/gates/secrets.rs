//! Gate: secrets that only people can create exist. A host that misses one would only say so when it starts.

use super::{Fact, Facts, NeededSecret, Verdict};
use crate::fail::Problem;

pub(super) fn judge(facts: &Facts) -> Verdict {
    match &facts.secrets {
        Fact::Unneeded(reason) => Verdict::Skipped(reason),
        Fact::Known(needed) => {
            let missing = needed.iter().filter(|secret| !secret.exists);
            Verdict::of("secrets are missing", missing.map(|secret| problem(&facts.file, secret)).collect())
        }
    }
}

fn problem(file: &str, secret: &NeededSecret) -> Problem {
    let id = &secret.id;
    let message = format!("needs the secret `{id}`, which does not exist");
    let hint = if id.starts_with("arn:") {
        "correct the ARN, or create the secret".to_owned()
    } else {
        format!("create it: aws secretsmanager create-secret --name {id} --secret-string file:///dev/stdin")
    };
    Problem::new("missing_secret", format!("{file} `{}`", secret.key), message, hint)
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn a_missing_secret_is_named_with_its_key_and_the_command() {
        let secret = |id: &str, exists| NeededSecret { key: "login.google", id: id.to_owned(), exists };
        let needed = vec![secret("there", true), secret("ductwork/dev/login/google", false)];
        let facts = Facts { secrets: Fact::Known(needed), ..facts() };
        let Verdict::Refused(_, problems) = judge(&facts) else { panic!("it passed") };
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].location, "environments/dev.toml `login.google`");
        assert!(problems[0].hint.contains("create-secret --name ductwork/dev/login/google"));
    }
}
