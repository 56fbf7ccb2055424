//! Tasks that a deployment starts on Fargate: whether the account may run so many vCPUs at all. How many of them
//! others use, AWS does not tell of Fargate.

use super::{About, Judged};
use crate::fail::Problem;
use crate::model::account::{Hosts, TaskDemand};

struct Market {
    name: &'static str,
    /// The quota (<https://docs.aws.amazon.com/general/latest/gr/ecs-service.html>).
    code: &'static str,
    tasks: fn(&Hosts) -> u32,
}

const ON_DEMAND: Market = Market { name: "on-demand", code: "L-3032A538", tasks: |tasks| tasks.on_demand };
const SPOT: Market = Market { name: "Spot", code: "L-36FBB829", tasks: |tasks| tasks.spot };
/// CPU units of a vCPU.
const UNITS: u32 = 1024;

pub(super) fn on_demand(about: &About, limit: u32) -> Judged {
    market(about, limit, &ON_DEMAND)
}

pub(super) fn spot(about: &About, limit: u32) -> Judged {
    market(about, limit, &SPOT)
}

/// Refuses what cannot start. Workers that come later, up to `max`, are only told of.
fn market(about: &About, limit: u32, market: &Market) -> Judged {
    let each = |number: fn(&TaskDemand) -> Hosts| {
        let demands = about.account.demands.tasks.iter();
        let counted = demands.map(move |one| (one.key.as_str(), (market.tasks)(&number(one)) * one.units));
        counted.filter(|(_, units)| *units > 0).collect::<Vec<_>>()
    };
    let sum = |each: &[(&str, u32)]| each.iter().map(|(_, units)| units).sum::<u32>();
    let (first, most) = (each(|one| one.first), each(|one| one.most));
    let may = limit.saturating_mul(UNITS);
    let missing = (sum(&first) > may).then(|| too_many(about, limit, market, &first));
    let mut text = format!("needs {} of {limit}", vcpus(sum(&first)));
    if sum(&most) > may {
        text += &format!("; all workers at `max` would need {}", vcpus(sum(&most)));
    }
    Judged::of(text, missing.into_iter().collect())
}

fn too_many(about: &About, limit: u32, market: &Market, each: &[(&str, u32)]) -> Problem {
    let wanted: u32 = each.iter().map(|(_, units)| units).sum();
    let listed: Vec<String> = each.iter().map(|(key, units)| format!("{key} {}", vcpus(*units))).collect();
    let message = format!(
        "the deployment starts {} tasks on Fargate with {} vCPUs ({}); the account may run {limit} in {}",
        market.name,
        vcpus(wanted),
        listed.join(", "),
        about.account.demands.region
    );
    let increase = about.increase("fargate", market.code, wanted.div_ceil(UNITS));
    let hint = format!("use fewer or smaller tasks, or request a larger quota: {increase}");
    let keys: Vec<&str> = each.iter().map(|(key, _)| *key).collect();
    about.problem("quota", &keys, message, hint)
}

fn vcpus(units: u32) -> String {
    (f64::from(units) / f64::from(UNITS)).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, Outcome, findings};
    use super::*;
    use crate::model::account::{Account, Demands};

    /// Two API servers of half a vCPU, and up to ten workers, most of them Spot.
    fn account(limit: u32) -> Account {
        let task = |key: &str, units, first, most| TaskDemand { key: key.to_owned(), units, first, most };
        let two = Hosts { on_demand: 2, spot: 0 };
        let (one, ten) = (Hosts { on_demand: 1, spot: 1 }, Hosts { on_demand: 2, spot: 8 });
        let tasks = vec![task("services.api_server", 512, two, two), task("workers.default", 1536, one, ten)];
        let demands = Demands { region: "eu-central-1".to_owned(), tasks, ..Demands::default() };
        Account { demands, fargate: Some(Ok(limit)), fargate_spot: Some(Ok(limit)), ..Account::default() }
    }

    fn found(account: &Account) -> [Finding; 2] {
        findings("environments/dev.toml", account).try_into().unwrap()
    }

    #[test]
    fn what_can_start_passes_and_what_may_come_is_told() {
        let [on_demand, spot] = found(&account(3));
        assert_eq!((on_demand.name, on_demand.outcome), ("on-demand vCPUs of Fargate", Outcome::Ok));
        assert_eq!(on_demand.text, "needs 2.5 of 3; all workers at `max` would need 4");
        assert_eq!(spot.text, "needs 1.5 of 3; all workers at `max` would need 12");
        assert_eq!(found(&account(12)).map(|one| one.text), ["needs 2.5 of 12", "needs 1.5 of 12"]);
    }

    #[test]
    fn what_cannot_start_is_refused_with_the_command_for_more() {
        let [on_demand, spot] = found(&account(2));
        assert_eq!(spot.outcome, Outcome::Ok);
        let problem = &on_demand.problems[0];
        assert_eq!(problem.location, "environments/dev.toml `services.api_server`, `workers.default`");
        assert_eq!(
            problem.message,
            "the deployment starts on-demand tasks on Fargate with 2.5 vCPUs (services.api_server 1, \
             workers.default 1.5); the account may run 2 in eu-central-1"
        );
        assert!(problem.hint.contains("--service-code fargate --quota-code L-3032A538 --desired-value 3"));
        let [_, spot] = found(&account(1));
        assert!(spot.problems[0].hint.contains("L-36FBB829"), "{:?}", spot.problems);
    }
}
