//! The environment files of this repository: valid, complete, and right about the defaults.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xtask::config::{Environment, Images, OBJECTS, has_key, keys, objects, resolve};
use xtask::model::contract::CONTRACT;
use xtask::model::engine::Engine;
use xtask::model::objects::Objects;
use xtask::observe::environment;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn dev() -> String {
    std::fs::read_to_string(root().join("environments/dev.toml")).unwrap()
}

fn resolved(text: &str) -> Environment {
    resolve("dev", text, "environments/dev.toml").unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The `key = value` after `mark`, if the line consists of these.
fn behind<'l>(line: &'l str, mark: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(mark)?;
    let key = rest.split_once(" = ")?.0;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (key.starts_with('"') || key.chars().all(plain)).then_some(rest)
}

/// The name of the table that begins here; one that is not there by default is commented out.
fn header(line: &str) -> Option<&str> {
    line.strip_prefix("# [").or_else(|| line.strip_prefix('['))?.strip_suffix(']')
}

/// The file with the defaults in place of what it chooses: the line above a choice ends in `The default is X.`
fn with_defaults(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let default = lines.last().and_then(|above| above.split_once("The default is "));
        let default = default.and_then(|(_, default)| default.strip_suffix('.')).map(str::to_owned);
        lines.push(match (behind(line, "").and_then(|line| line.split_once(" = ")), default) {
            (Some((key, _)), Some(default)) => format!("{key} = {default}"),
            _ => line.to_owned(),
        });
    }
    lines.join("\n")
}

/// The file for another engine: without the keys that it does not have, and with the defaults that a comment
/// above says for it.
fn on_engine(text: &str, engine: Engine) -> String {
    let (mut table, mut above, mut lines) = (String::new(), String::new(), Vec::new());
    for line in text.lines() {
        let entry = behind(line, "# e.g. ").or_else(|| behind(line, "# ")).or_else(|| behind(line, ""));
        let entry = entry.and_then(|entry| entry.split_once(" = "));
        if let Some(name) = header(line) {
            table = format!("{name}.");
        }
        match entry {
            Some(("engine", _)) if table.is_empty() => lines.push(format!("engine = \"{engine}\"")),
            Some((key, _)) if !has_key(engine, &format!("{table}{key}")) => {}
            Some(_) => lines.push(with_own(line, &above, engine)),
            None => lines.push(line.to_owned()),
        }
        above =
            if entry.is_none() && line.starts_with("# ") { above + " " + &line[2..] } else { String::new() };
    }
    lines.join("\n")
}

/// The line with the default of ECS, if the comment says one.
fn with_own(line: &str, above: &str, engine: Engine) -> String {
    let said = above.split_once("On ECS the default is ").filter(|_| engine.is_ecs());
    let Some((_, said)) = said else { return line.to_owned() };
    let end = said.find([',', '.']).unwrap_or(said.len());
    format!("{} = {}", line.split_once(" = ").unwrap().0, &said[..end])
}

/// The file with the lines after one of the marks no longer commented out.
fn uncommented(text: &str, marks: &[&str]) -> Vec<String> {
    let live = |line| marks.iter().find_map(|mark| behind(line, mark)).unwrap_or(line).to_owned();
    text.lines().map(live).collect()
}

#[test]
fn every_environment_of_the_repository_is_valid() {
    let names = environment::names(root()).unwrap();
    assert_eq!(names, ["dev", "local", "local-fargate", "prod", "staging"]);
    for name in names {
        let environment = environment::load(root(), &name);
        environment.unwrap_or_else(|fail| panic!("{name}: {fail}: {:#?}", fail.all_problems()));
    }
}

/// The lines of `dev.toml` that choose something, with the defaults instead.
const STANDARD: [&str; 3] =
    ["instance_class = \"db.t4g.small\"", "architecture = \"x86_64\"", "on_scheduler = false"];

#[test]
fn the_defaults_that_dev_toml_shows_are_the_defaults() {
    let plain = with_defaults(&dev());
    let chosen = plain.lines().zip(dev().lines()).filter(|(default, chosen)| default != chosen).count();
    assert_eq!(chosen, 3, "{plain}");
    defaults_are_right(&on_engine(&plain, Engine::Ec2));
}

/// Where they differ from those of hosts, the file says so.
#[test]
fn the_defaults_that_dev_toml_shows_are_the_defaults_on_ecs() {
    for engine in [Engine::Fargate, Engine::EcsEc2] {
        let plain = on_engine(&with_defaults(&dev()), engine);
        assert_eq!(resolved(&plain).engine, engine);
        assert!(plain.contains("# cpu = 1024") && !plain.contains("on_scheduler"), "{plain}");
        assert_eq!(plain.contains("# volume_gib"), engine == Engine::EcsEc2, "{plain}");
        defaults_are_right(&plain);
    }
}

fn defaults_are_right(plain: &str) {
    let shown = uncommented(plain, &["# "]).join("\n");
    assert_ne!(plain.trim_end(), shown);
    for (is, says) in resolved(plain)
        .parameters(&Images::example(), None)
        .iter()
        .zip(&resolved(&shown).parameters(&Images::example(), None))
    {
        assert_eq!(is, says, "correct the commented default in environments/dev.toml, or the default");
    }
    assert_eq!(resolved(plain), resolved(&shown));
    let left_out: Vec<&str> = plain.lines().filter(|line| !STANDARD.contains(line)).collect();
    assert_eq!(resolved(plain), resolved(&left_out.join("\n")), "the defaults that the file names");
}

#[test]
fn the_examples_of_dev_toml_are_valid() {
    let mut lines = uncommented(&on_engine(&with_defaults(&dev()), Engine::Ec2), &["# e.g. ", "# "]);
    // The examples show the alternatives: an existing VPC, a load balancer, logins with Google.
    for (default, other) in [
        ("url = \"http://airflow.dev.example.com:8080\"", "url = \"https://airflow.example.com\""),
        ("load_balancer = \"none\"", "load_balancer = \"internet_facing\""),
        ("method = \"password\"", "method = \"google\""),
    ] {
        let line = lines.iter_mut().find(|line| *line == default);
        line.unwrap_or_else(|| panic!("{default}")).replace_range(.., other);
    }
    let not_both = ["vpc_cidr", "zones", "nat", "url_secret", "image"];
    lines.retain(|line| !not_both.contains(&line.split(" = ").next().unwrap_or_default()));
    resolved(&lines.join("\n"));
}

#[test]
fn the_example_of_an_external_task_is_valid_and_shows_the_defaults() {
    let text = dev();
    let (_, section) = text.split_once("# [tasks.NAME]").unwrap();
    let examples = uncommented(section.split_once("\n[").unwrap().0, &["# e.g. "]).join("\n");
    let on = |section: &str| {
        let plain = on_engine(&with_defaults(&text), Engine::Fargate);
        resolved(
            &plain
                .replace("# shared = false", "shared = true")
                .replace("[image]", &format!("{section}\n[image]")),
        )
    };
    let without = |drop: &[&str]| -> String {
        let keep = |line: &&str| !drop.contains(&line.split(" = ").next().unwrap());
        examples.lines().filter(keep).collect::<Vec<_>>().join("\n")
    };
    let shown = on(&format!("[tasks.report]\n{}", without(&["image"])));
    let foreign = on(&format!("[tasks.report]\n{}", without(&["folder", "command"])));
    assert!(shown.external_tasks()[0].has_files() && foreign.external_tasks()[0].command.is_empty());
    let chosen = ["image", "environment", "files", "managed_policies"];
    let defaults = on(&format!("[tasks.report]\n{}", without(&chosen)));
    assert_eq!(defaults, on("[tasks.report]\nfolder = 'tasks/report'\n"));
}

#[test]
fn the_example_of_an_existing_database_is_valid() {
    let secret = dev().lines().find_map(|line| {
        behind(line, "# e.g. ").filter(|key| key.starts_with("url_secret")).map(str::to_owned)
    });
    let text = with_defaults(&dev())
        .replace(STANDARD[0], "")
        .replace("[database]", &format!("[database]\nengine = \"existing\"\n{}", secret.unwrap()));
    assert!(!resolved(&text).parameters(&Images::example(), None)["DatabaseUrlSecretArn"].is_empty());
}

/// `prod.toml` is the example of high availability.
#[test]
fn production_is_highly_available() {
    let production = environment::load(root(), "prod").unwrap();
    let parameters = production.parameters(&Images::example(), None);
    for (name, value) in [
        ("Protected", "true"),
        ("NatMode", "per-zone"),
        ("EntryScheme", "internet-facing"),
        ("DatabaseMultiAz", "true"),
        ("ApiServerCount", "2"),
        ("SchedulerCount", "2"),
        ("AuditTrail", "true"),
    ] {
        assert_eq!(parameters[name], value, "{name}");
    }
    let sets = production.worker_sets();
    let sets: Vec<_> = sets.iter().map(|set| (&*set.name, set.min, set.max, set.on_scheduler)).collect();
    assert_eq!(sets, [("big", 0, 4, false), ("default", 2, 12, false), ("small", 0, 0, true)]);
}

#[test]
fn dev_toml_explains_every_key() {
    let text = dev();
    let mut explained = BTreeSet::new();
    let mut table = String::new();
    let mut before = "";
    for line in text.lines() {
        if let Some(name) = header(line) {
            table = name.to_owned();
            explained.insert(table.clone());
        }
        let entry = behind(line, "# e.g. ").or_else(|| behind(line, "# ")).or_else(|| behind(line, ""));
        if let Some((key, _)) = entry.and_then(|entry| entry.split_once(" = ")) {
            let dotted = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            let example = line.starts_with("# e.g. ");
            assert!(
                example || before.starts_with("# ") && behind(before, "# ").is_none(),
                "environments/dev.toml: write above `{dotted}` what it is and when to change it"
            );
            explained.insert(dotted);
        }
        before = line;
    }
    let missing: Vec<String> = keys().into_iter().filter(|key| !explained.contains(key)).collect();
    assert!(missing.is_empty(), "explain these keys in environments/dev.toml: {missing:?}");
}

/// What the tests of templates see of the default engine, for all of them.
#[test]
fn the_readme_of_templates_maps_what_every_engine_is_given() {
    let readme = std::fs::read_to_string(root().join("templates/README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let cells: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let code = |cell: &str| cell.strip_prefix('`').and_then(|cell| cell.split('`').next()).map(str::to_owned);
    let pairs = cells.iter().flat_map(|row| row.windows(2));
    let mapped: BTreeMap<_, _> = pairs.filter_map(|pair| Some((code(pair[0])?, code(pair[1])))).collect();
    for engine in Engine::ALL {
        let environment = resolved(&on_engine(&with_defaults(&dev()), engine));
        for name in environment.parameters(&Images::example(), None).keys() {
            let key =
                mapped.get(name).unwrap_or_else(|| panic!("{engine}: templates/README.md lacks `{name}`"));
            let known = |key: &String| {
                keys().iter().any(|known| *known == *key || known.starts_with(&format!("{key}.")))
            };
            assert!(
                key.as_ref().is_none_or(known),
                "templates/README.md: `{key:?}` is no key of an environment file"
            );
        }
        for name in environment.worker_sets()[0].parameters().keys() {
            assert!(readme.contains(&format!("`{name}`")), "{engine}: templates/README.md lacks `{name}`");
        }
    }
}

/// List prices of us-east-1 for Linux on demand, in US dollars; per month of 730 hours where not said.
mod prices {
    pub const HOURS: f64 = 730.0;
    /// Per hour.
    pub const INSTANCES: [(&str, f64); 8] = [
        ("t4g.small", 0.0168),
        ("t4g.medium", 0.0336),
        ("t3.small", 0.0208),
        ("t3.medium", 0.0416),
        ("m7i.large", 0.1008),
        ("r7i.2xlarge", 0.5292),
        ("db.t4g.micro", 0.016),
        ("db.m7g.large", 0.168),
    ];
    /// Per hour of a task on Fargate, on Linux and arm64, as published in June 2026.
    pub const FARGATE_CPU: f64 = 0.03238;
    pub const FARGATE_GB: f64 = 0.00356;
    pub const DISK_GIB: f64 = 0.08;
    pub const DATABASE_GIB: f64 = 0.115;
    pub const PUBLIC_ADDRESS: f64 = 3.65;
    pub const NAT_GATEWAY: f64 = 32.85;
    pub const BALANCER: f64 = 16.43;
    pub const FIREWALL: f64 = 8.0;
    /// Secrets, the key, metrics, logs and requests of a quiet environment, by estimate.
    pub const REST: f64 = 7.0;
}

/// An instance that is always there.
fn hourly(kind: &str) -> f64 {
    let (_, price) = prices::INSTANCES.iter().find(|(name, _)| *name == kind).expect(kind);
    price * prices::HOURS
}

/// What an environment costs a month if no worker set grows, without traffic.
fn monthly(environment: &Environment) -> f64 {
    let given = environment.parameters(&Images::example(), None);
    let number = |name: &str| given[name].parse::<f64>().unwrap();
    let hosts = |count: f64, kind: &str, disk: f64| {
        let address = if given["NatMode"] == "none" { prices::PUBLIC_ADDRESS } else { 0.0 };
        count * (hourly(kind) + disk * prices::DISK_GIB + address)
    };
    let shared = given["ApiServerOnScheduler"] == "true";
    let fixed = |prefix: &str| {
        let of = |key: &str| format!("{prefix}{key}");
        hosts(number(&of("Count")), &given[&of("InstanceType")], number(&of("VolumeGiB")))
    };
    let workers = environment.worker_sets().iter().fold(0.0, |sum, set| {
        let of = set.parameters();
        let disk = of["VolumeGiB"].parse().unwrap();
        sum + if set.min == 0 { 0.0 } else { hosts(f64::from(set.min), &of["InstanceType"], disk) }
    });
    let api_server = if shared { 0.0 } else { fixed("ApiServer") };
    api_server + fixed("Scheduler") + workers + around(&given)
}

/// The same of an environment on Fargate with arm64, whose tasks have addresses of their own without NAT.
fn monthly_on_fargate(environment: &Environment) -> f64 {
    let given = environment.parameters(&Images::example(), None);
    assert_eq!((environment.engine, &*given["TaskArchitecture"]), (Engine::Fargate, "ARM64"));
    let address = if given["NatMode"] == "none" { prices::PUBLIC_ADDRESS } else { 0.0 };
    let task = |of: &BTreeMap<String, String>, prefix: &str, count: &str| {
        let number = |key: String| of[&key].parse::<f64>().unwrap();
        let hourly = number(format!("{prefix}Cpu")) / 1024.0 * prices::FARGATE_CPU
            + number(format!("{prefix}Memory")) / 1024.0 * prices::FARGATE_GB;
        number(format!("{prefix}{count}")) * (hourly * prices::HOURS + address)
    };
    let services = ["ApiServer", "Scheduler", "DagProcessor", "Triggerer"];
    let services: f64 = services.into_iter().map(|prefix| task(&given, prefix, "Count")).sum();
    let workers: f64 =
        environment.worker_sets().iter().map(|set| task(&set.parameters(), "", "MinCount")).sum();
    services + workers + around(&given)
}

/// What is not hosts and tasks.
fn around(given: &BTreeMap<String, String>) -> f64 {
    let number = |name: &str| given[name].parse::<f64>().unwrap();
    let zones = number("AvailabilityZoneCount");
    let copies = if given["DatabaseMultiAz"] == "true" { 2.0 } else { 1.0 };
    let storage = number("DatabaseStorageGiB") * prices::DATABASE_GIB;
    let database = copies * (hourly(&given["DatabaseInstanceClass"]) + storage);
    let gateways = match given["NatMode"].as_str() {
        "none" => 0.0,
        "single" => 1.0,
        _ => zones,
    };
    let network = gateways * (prices::NAT_GATEWAY + prices::PUBLIC_ADDRESS);
    let balancer = match given["EntryScheme"].as_str() {
        "none" => 0.0,
        "internal" => prices::BALANCER,
        _ => prices::BALANCER + zones * prices::PUBLIC_ADDRESS,
    };
    let firewall = if given["WebFirewall"] == "true" { prices::FIREWALL } else { 0.0 };
    database + network + balancer + firewall + prices::REST
}

/// The README says what the environments of the repository cost; these figures follow from the files.
#[test]
fn the_readme_says_what_environments_cost() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let dev = monthly(&resolved(&dev()));
    assert!(dev <= 90.0, "`dev` costs {dev:.0} $ a month");
    for (name, cost) in [("dev", dev), ("prod", monthly(&environment::load(root(), "prod").unwrap()))] {
        let row = format!("| `{name}` | {cost:.0} $ |");
        assert!(readme.contains(&row), "README.md, \"What it costs\": the row has to begin with `{row}`");
    }
}

/// The same of `dev.toml` with another engine, and without NAT.
#[test]
fn the_readme_says_what_fargate_costs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let dev = on_engine(&dev(), Engine::Fargate);
    let own = |nat: &str| dev.replace("[network]", &format!("[network]\nnat = \"{nat}\""));
    for nat in ["single", "none"] {
        let row =
            format!("| `network.nat = \"{nat}\"` | {:.0} $ |", monthly_on_fargate(&resolved(&own(nat))));
        assert!(readme.contains(&row), "README.md, \"On ECS\": the row has to begin with `{row}`");
    }
}

/// A new account may run 5 vCPUs on demand: what `dev.toml` starts has to fit.
#[test]
fn dev_fits_into_a_new_account() {
    let environment = resolved(&dev());
    let given = environment.parameters(&Images::example(), None);
    assert_eq!(given["ApiServerOnScheduler"], "true");
    let kinds = [(given["SchedulerInstanceType"].clone(), given["SchedulerCount"].parse().unwrap())];
    let sets = environment.worker_sets();
    let sets = sets.iter().map(|set| (set.parameters()["InstanceType"].clone(), set.max));
    let cores: u32 = kinds
        .into_iter()
        .chain(sets)
        .map(|(kind, count): (String, u32)| {
            assert!(kind.starts_with("t4g.") || kind.starts_with("t3."), "how many vCPUs has `{kind}`?");
            2 * count
        })
        .sum();
    assert!(cores <= 5, "{cores} vCPUs");
}

#[test]
fn the_example_of_objects_toml_is_valid_and_shows_every_key() {
    let text = std::fs::read_to_string(root().join(OBJECTS)).unwrap();
    let known = environment::names(root()).unwrap();
    assert_eq!(objects(&text, "dev", &known), Ok(Objects::default()), "the project itself has none");
    let example =
        |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).map(str::to_owned);
    let lines: Vec<String> =
        text.lines().map(|line| example(line).unwrap_or_else(|| line.to_owned())).collect();
    let shown =
        |name: &str| objects(&lines.join("\n"), name, &known).unwrap_or_else(|all| panic!("{all:#?}"));
    let (dev, prod) = (shown("dev"), shown("prod"));
    assert_eq!((dev.pools["warehouse"].slots, prod.pools["warehouse"].slots), (4, 16));
    assert_eq!(prod.since(&dev).connections.changed, ["warehouse"]);
    assert_eq!(dev.secrets().len(), 2);
}

/// Options that hosts would refuse in the middle of a deployment are refused before it starts.
#[test]
fn options_that_hosts_refuse_are_refused_here() {
    let options = &CONTRACT.options;
    let named = |pattern: &String| pattern.replace('*', "anything");
    let owned = options.owned.iter().map(|(pattern, owned)| (named(pattern), owned.cure.as_str()));
    let secret = options.secret.iter().map(|name| (name.clone(), "Secrets Manager"));
    let endings = options.secret_endings.iter().map(|ending| (format!("a.b{ending}"), "Secrets Manager"));
    let all: Vec<_> = owned.chain(secret).chain(endings).collect();
    assert!(all.len() > 50, "the contract no longer lists the options");
    for (option, cure) in all {
        let text = format!("[aws]\nendpoint = 'local'\n[airflow.config]\n'{option}' = 'x'\n");
        let problems = resolve("dev", &text, "dev.toml").expect_err(&option);
        assert_eq!(problems.len(), 1, "{option}: {problems:#?}");
        assert!(problems[0].location.contains(&option) && problems[0].hint.contains(cure), "{problems:#?}");
    }
}
