//! What `doctor` found: a line for each fact, and the problems with their cures.

use super::{Output, wrap};
use crate::fail::Problem;
use crate::plan::gates::{Finding, Outcome};
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Debug, Serialize)]
pub struct Diagnosis {
    pub environment: String,
    pub findings: Vec<Finding>,
}

impl Output for Diagnosis {
    fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let head = format!("{:21}{:19}", word(finding.outcome), finding.name);
            let lines = wrap::lines(&finding.text, wrap::WIDTH - head.len());
            for (number, line) in lines.iter().enumerate() {
                let head = if number == 0 { head.as_str() } else { "" };
                let _ = writeln!(out, "{}", format!("{head:40}{line}").trim_end());
            }
        }
        for problem in self.findings.iter().flat_map(|finding| &finding.problems) {
            let Problem { location, message, hint, .. } = problem;
            out += "\n";
            out += &wrap::wrap("", "  ", &format!("{location}: {message}"));
            out += &wrap::wrap("  cure: ", "  ", hint);
        }
        out
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Missing => "missing",
        Outcome::NotAsked => "could not be asked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_fact_then_the_problems() {
        let problem =
            Problem::new("quota", "environments/dev.toml `network.vpc_id`", "needs one", "delete one");
        let finding =
            |name, outcome, text: &str, problems| Finding { name, outcome, text: text.to_owned(), problems };
        let denied = "AccessDeniedException: User is not authorized to perform: acm:DescribeCertificate";
        let diagnosis = Diagnosis {
            environment: "dev".to_owned(),
            findings: vec![
                finding("zones", Outcome::Ok, "a, b", Vec::new()),
                finding("VPCs", Outcome::Missing, "1 problem", vec![problem]),
                finding("certificate", Outcome::NotAsked, denied, Vec::new()),
            ],
        };
        insta::assert_snapshot!(diagnosis.text(), @r"
        ok                   zones              a, b
        missing              VPCs               1 problem
        could not be asked   certificate        AccessDeniedException: User is not
                                                authorized to perform:
                                                acm:DescribeCertificate

        environments/dev.toml `network.vpc_id`: needs one
          cure: delete one
        ");
        let json = serde_json::to_value(&diagnosis).unwrap();
        assert_eq!(json["findings"][2]["outcome"], "not_asked");
        assert_eq!(json["findings"][1]["problems"][0]["where"], "environments/dev.toml `network.vpc_id`");
    }
}
