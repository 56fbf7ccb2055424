//! A failure as text for a person or as the JSON of the contract.

use super::wrap::wrap;
use crate::fail::{Fail, screen};
use serde_json::{Value, json};

/// `error: …`, the causes, a screen of problems, the hints; in lines that fit a terminal.
#[must_use]
pub fn text(fail: &Fail) -> String {
    let mut out = wrap("error: ", "  ", fail.message());
    for cause in fail.causes() {
        out += &quoted("  caused by: ", &cause);
    }
    let (groups, beyond) = screen(fail.all_problems());
    for group in groups {
        out.push('\n');
        out += &quoted("  ", &group.text());
        if !group.problem.hint.is_empty() {
            out += &wrap("    cure: ", "      ", &group.problem.hint);
        }
    }
    if beyond > 0 {
        out += &format!("\n  and {beyond} more; all of them with --format json\n");
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
    fn what_many_files_have_is_told_once_and_the_rest_is_counted() {
        let missing = |file: &str| Problem::new("import_error", file, "`x` is not installed", "add `x`");
        let mut problems = vec![missing("dags/a.py:1"), missing("dags/b.py:2")];
        problems.extend((0..10).map(|n| Problem::new("import_error", "dags/c.py", n.to_string(), "")));
        let told = text(&Fail::problems("12 findings", problems));
        assert_eq!(told.matches("`x` is not installed").count(), 1, "{told}");
        assert!(
            told.contains("  dags/a.py:1, dags/b.py:2: `x` is not installed\n    cure: add `x`\n"),
            "{told}"
        );
        assert!(told.ends_with("\n  and 1 more; all of them with --format json\n"), "{told}");
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract() {
        let value = json(&Fail::failed("m").cause("c").hint("h"));
        assert_eq!(value["error"]["kind"], "failed");
        assert_eq!(value["error"]["causes"][0], "c");
        assert_eq!(value["error"]["hints"][0], "h");
    }
}
