//! Gate: the account has what the environment needs. What could not be asked never refuses.
//!
//! `doctor` shows every finding; `plan` and `deploy` judge those on which the deployment depends.

mod fargate;
mod names;
mod network;
mod rights;
mod scope;
mod vcpus;

use super::{Fact, Facts, Verdict};
use crate::fail::Problem;
use crate::model::account::{Account, Answer, Quota};
use crate::model::text::count;
use serde::Serialize;

pub use names::no_image;
pub use scope::topics;

/// What is said of one fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub outcome: Outcome,
    /// A few words: what was found, or why it could not be asked.
    pub text: String,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Missing,
    NotAsked,
}

/// What a fact is judged to be.
enum Judged {
    Ok(String),
    Missing(Vec<Problem>),
}

impl Judged {
    fn of(text: impl Into<String>, problems: Vec<Problem>) -> Self {
        if problems.is_empty() { Self::Ok(text.into()) } else { Self::Missing(problems) }
    }
}

/// Everything that is known of the account, in the order in which it is shown; `file` is the environment
/// file.
#[must_use]
pub fn findings(file: &str, account: &Account) -> Vec<Finding> {
    let about = About { file, account };
    let all = [
        finding("on-demand vCPUs", account.on_demand.as_ref(), |vcpus| vcpus::on_demand(&about, vcpus)),
        finding("Spot vCPUs", account.spot.as_ref(), |vcpus| vcpus::spot(&about, vcpus)),
        finding("on-demand vCPUs of Fargate", account.fargate.as_ref(), |limit| {
            fargate::on_demand(&about, *limit)
        }),
        finding("Spot vCPUs of Fargate", account.fargate_spot.as_ref(), |limit| {
            fargate::spot(&about, *limit)
        }),
        finding("instance types", account.offers.as_ref(), |offers| vcpus::offers(&about, offers)),
        finding("zones", account.zones.as_ref(), |zones| network::zones(&about, zones)),
        finding("elastic addresses", account.addresses.as_ref(), |quota| network::addresses(&about, quota)),
        finding("VPCs", account.vpcs.as_ref(), |quota| network::vpcs(&about, quota)),
        finding("subnets", account.subnets.as_ref(), |subnets| network::subnets(&about, subnets)),
        finding("certificate", account.certificate.as_ref(), |found| {
            names::certificate(&about, found.as_ref())
        }),
        finding("hosted zone", account.hosted_zone.as_ref(), |found| {
            names::hosted_zone(&about, found.as_ref())
        }),
        finding("secrets", account.secrets.as_ref(), |secrets| names::secrets(secrets)),
        finding("image", account.image.as_ref(), |found| names::image(&about, *found)),
        finding("rights", account.rights.as_ref(), |denied| rights::calls(&about, denied)),
        finding("service roles", account.service_roles.as_ref(), |roles| rights::roles(&about, roles)),
    ];
    all.into_iter().flatten().collect()
}

fn finding<T>(
    name: &'static str,
    fact: Option<&Answer<T>>,
    judge: impl FnOnce(&T) -> Judged,
) -> Option<Finding> {
    let (outcome, text, problems) = match fact?.as_ref().map(judge) {
        Ok(Judged::Ok(text)) => (Outcome::Ok, text, Vec::new()),
        Ok(Judged::Missing(problems)) => (Outcome::Missing, count(problems.len(), "problem"), problems),
        Err(why) => (Outcome::NotAsked, why.clone(), Vec::new()),
    };
    Some(Finding { name, outcome, text, problems })
}

/// What every judgement needs.
struct About<'a> {
    file: &'a str,
    account: &'a Account,
}

impl About<'_> {
    fn problem(&self, kind: &str, keys: &[&str], message: String, hint: String) -> Problem {
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        Problem::new(kind, format!("{} {}", self.file, keys.join(", ")), message, hint)
    }

    /// The command that asks AWS for a larger quota.
    fn increase(&self, service: &str, code: &str, wanted: u32) -> String {
        let region = &self.account.demands.region;
        format!(
            "aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code} \
             --desired-value {wanted} --region {region}"
        )
    }
}

/// Whether so many more fit.
fn fits(quota: &Quota, wanted: u32) -> bool {
    quota.used.saturating_add(wanted) <= quota.limit
}

pub(super) fn judge(facts: &Facts) -> Verdict {
    let account = match &facts.account {
        Fact::Unneeded(reason) => return Verdict::Skipped(reason),
        Fact::Known(account) => account,
    };
    let findings = findings(&facts.file, account);
    let problems: Vec<Problem> = findings.iter().flat_map(|finding| finding.problems.clone()).collect();
    let not_asked = findings.iter().filter(|finding| finding.outcome == Outcome::NotAsked);
    let notes: Vec<String> = not_asked.map(|finding| not_asked_of(finding.name, &finding.text)).collect();
    match Verdict::of("the account lacks what the environment needs", problems) {
        Verdict::Passed if !notes.is_empty() => Verdict::Unsure(notes),
        verdict => verdict,
    }
}

fn not_asked_of(name: &str, why: &str) -> String {
    format!("could not ask AWS about {name}: {why}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::facts;
    use super::*;
    use crate::model::account::{Demands, HostDemand, Hosts, Vcpus};

    /// What `dev.toml` needs, and an account that has it.
    pub(in super::super) fn healthy() -> Account {
        let hosts = |key: &str, most| HostDemand {
            key: key.to_owned(),
            types: vec!["t4g.medium".to_owned()],
            first: Hosts { on_demand: 1, spot: 0 },
            going_on: Hosts::default(),
            most: Hosts { on_demand: most, spot: 0 },
        };
        let demands = Demands {
            region: "eu-central-1".to_owned(),
            hosts: vec![hosts("hosts.scheduler", 1), hosts("workers.default", 1)],
            addresses: 1,
            ..Demands::default()
        };
        let of_type = [("t4g.medium".to_owned(), 2)].into();
        let quota = Quota { limit: 5, used: 0 };
        Account {
            demands,
            on_demand: Some(Ok(Vcpus { quota, of_type })),
            addresses: Some(Ok(quota)),
            vpcs: Some(Ok(Quota { limit: 5, used: 1 })),
            ..Account::default()
        }
    }

    #[test]
    fn a_healthy_account_passes_and_every_fact_has_its_line() {
        let found = findings("environments/dev.toml", &healthy());
        let lines: Vec<String> = found.iter().map(|one| format!("{}: {}", one.name, one.text)).collect();
        assert_eq!(
            lines,
            [
                "on-demand vCPUs: needs 4; others use 0 of 5",
                "elastic addresses: needs 1; others use 0 of 5",
                "VPCs: needs 1; others use 1 of 5"
            ]
        );
        let facts = Facts { account: Fact::Known(healthy()), ..facts() };
        assert_eq!(judge(&facts), Verdict::Passed);
    }

    #[test]
    fn what_could_not_be_asked_is_told_and_never_refuses() {
        let denied = Account { vpcs: Some(Err("AccessDenied: no".to_owned())), ..healthy() };
        let Verdict::Unsure(notes) = judge(&Facts { account: Fact::Known(denied.clone()), ..facts() }) else {
            panic!("it is sure")
        };
        assert_eq!(notes, ["could not ask AWS about VPCs: AccessDenied: no"]);
        let none_left = Quota { limit: 5, used: 5 };
        let refused = Account { addresses: Some(Ok(none_left)), ..denied };
        let verdict = judge(&Facts { account: Fact::Known(refused), ..facts() });
        let Verdict::Refused(_, problems) = verdict else { panic!("it passed") };
        assert_eq!(problems.len(), 1);
    }
}
