//! A failure as text for a person or as the JSON of the contract.

use super::wrap::wrap;
use crate::fail::Fail;
use serde_json::{Value, json};

/// `error: …`, the causes, the problems one by one, the hints; in lines that fit a terminal.
#[must_use]
pub fn text(fail: &Fail) -> String {
    let mut out = wrap("error: ", "  ", fail.message());
    for cause in fail.causes() {
        out += &quoted("  caused by: ", &cause);
    }
    for problem in fail.all_problems() {
        out.push('\n');
        out += &quoted("  ", &format!("{}: {}", problem.location, problem.message));
        if !problem.hint.is_empty() {
            out += &wrap("    cure: ", "      ", &problem.hint);
        }
    }
    if !fail.hints().is_empty() {
        out.push('\n');
    }
    for hint in fail.hints() {
        out += &wrap("hint: ", "      ", hint);
    }
    out
}

/// Several lines are what another program said; each stays one where it fits.
fn quoted(first: &str, text: &str) -> String {
    let (head, tail) = text.split_once('\n').unwrap_or((text, ""));
    wrap(first, "    ", head) + &tail.lines().map(|line| wrap("    ", "      ", line)).collect::<String>()
}

#[must_use]
pub fn json(fail: &Fail) -> Value {
    let mut error = json!({
        "kind": fail.kind().word(),
        "message": fail.message(),
        "causes": fail.causes(),
        "hints": fail.hints(),
    });
    if !fail.all_problems().is_empty() {
        error["problems"] = json!(fail.all_problems());
    }
    json!({ "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fail::Problem;

    #[test]
    fn everything_is_shown_in_order() {
        let problem =
            Problem::new("unknown_key", "environments/dev.toml:3 `hots`", "unknown key", "write `hosts`");
        let fail = Fail::problems("1 problem in `environments/dev.toml`", vec![problem])
            .cause("why")
            .hint("do this");
        insta::assert_snapshot!(text(&fail), @r"
        error: 1 problem in `environments/dev.toml`
          caused by: why

          environments/dev.toml:3 `hots`: unknown key
            cure: write `hosts`

        hint: do this
        ");
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract() {
        let value = json(&Fail::failed("m").cause("c").hint("h"));
        assert_eq!(value["error"]["kind"], "failed");
        assert_eq!(value["error"]["causes"][0], "c");
        assert_eq!(value["error"]["hints"][0], "h");
    }
}
