//! What an account can lack: `doctor` shows each fact in a line of its own, `plan` and `deploy` are refused.

use super::announce;
use crate::environments::as_shipped;
use crate::support::Run;
use crate::support::project::Project;
use serde_json::Value;

/// An environment on AWS, which answers at the endpoint of the local cloud.
struct Account {
    project: Project,
}

/// What `account.py make` made.
#[derive(serde::Deserialize)]
struct Made {
    vpc: String,
    subnets: Vec<String>,
    pending: String,
    issued: String,
    zone: String,
}

impl Account {
    fn new() -> Self {
        let project = Project::without_airflow();
        project.run(&["local", "up"]).expect(0);
        Self { project }
    }

    fn has(&self, args: &[&str]) -> Value {
        let args = [&["xtask/tests/scenarios/account.py"], args].concat();
        self.project.python(&args).expect(0).json()
    }

    /// `dev.toml` as it is shipped, with each of these lines replaced.
    fn environment(&self, changes: &[(&str, &str)]) {
        let mut text = as_shipped(&self.project);
        for (old, new) in changes {
            assert!(text.contains(old), "`{old}` is not in dev.toml");
            text = text.replacen(old, new, 1);
        }
        self.project.write("environments/aws.toml", &text);
    }

    fn run(&self, args: &[&str]) -> Run {
        let endpoint = self.project.endpoint();
        let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        self.project.run_with(args, &[keys[0], keys[1], ("AWS_ENDPOINT_URL", &endpoint)])
    }

    /// The findings of `doctor`, by name.
    #[track_caller]
    fn doctor(&self, code: i32) -> Findings {
        let run = self.run(&["doctor", "--env", "aws", "--format", "json"]).expect(code);
        Findings(run.json()["findings"].as_array().unwrap().clone())
    }
}

impl Account {
    /// The findings for a role that `account.py` makes.
    #[track_caller]
    fn doctor_as(&self, role: &str, code: i32) -> Findings {
        let keys = self.has(&[role]);
        let key = |name: &str| keys[name].as_str().unwrap().to_owned();
        let (id, secret, token) = (key("AccessKeyId"), key("SecretAccessKey"), key("SessionToken"));
        let endpoint = self.project.endpoint();
        let run = self.project.run_with(
            &["doctor", "--env", "aws", "--format", "json"],
            &[
                ("AWS_ACCESS_KEY_ID", &id),
                ("AWS_SECRET_ACCESS_KEY", &secret),
                ("AWS_SESSION_TOKEN", &token),
                ("AWS_ENDPOINT_URL", &endpoint),
            ],
        );
        Findings(run.expect(code).json()["findings"].as_array().unwrap().clone())
    }
}

struct Findings(Vec<Value>);

impl Findings {
    fn outcomes(&self) -> Vec<String> {
        let line =
            |one: &Value| format!("{}: {}", one["name"].as_str().unwrap(), one["outcome"].as_str().unwrap());
        self.0.iter().map(line).collect()
    }

    /// Location and message of the only problem of all.
    #[track_caller]
    fn only(&self, name: &str) -> String {
        let missing: Vec<&Value> = self.0.iter().filter(|one| one["outcome"] == "missing").collect();
        assert_eq!(missing.len(), 1, "{:#?}", self.0);
        assert_eq!(missing[0]["name"], name, "{:#?}", self.0);
        let problem = &missing[0]["problems"][0];
        format!("{}: {}", problem["where"].as_str().unwrap(), problem["message"].as_str().unwrap())
    }
}

/// One table of dev.toml, without its worker's own table.
const WORKERS: &str = "[workers.default]\n";
const SCHEDULER: &str = "[hosts.scheduler]\n";
const NETWORK: &str = "[network]\n";
const ENTRY: &str = "[entry]\n";

#[test]
fn what_an_account_lacks_is_told_before_anything_is_touched() {
    let account = Account::new();
    healthy(&account);
    rights(&account);
    too_few_vcpus(&account);
    instances_and_secrets(&account);
    used_up(&account);
    let made: Made = serde_json::from_value(account.has(&["make"])).unwrap();
    names(&account, &made);
    subnets(&account, &made);
}

fn healthy(account: &Account) {
    announce("an account that has everything");
    account.environment(&[]);
    let expected = [
        "on-demand vCPUs: ok",
        "instance types: ok",
        "zones: ok",
        "elastic addresses: ok",
        "VPCs: ok",
        "image: ok",
        "rights: ok",
        "service roles: ok",
    ];
    assert_eq!(account.doctor(0).outcomes(), expected);
    let text = account.run(&["doctor", "--env", "aws"]).expect(0).stdout;
    let rows = text.lines().filter(|line| line.starts_with("ok"));
    assert_eq!(rows.count(), expected.len(), "a row for each:\n{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("/aws/service/")), "{text}");
    assert!(text.contains("us-east-1a, us-east-1b"), "{text}");
}

/// Whoever may only read is told what the tool could not do, and which roles nobody would make; GitHub's deploy role may do
/// all that the tool does.
fn rights(account: &Account) {
    announce("a role that may only read");
    let findings = account.doctor_as("reader", 2);
    let named = |name: &str| findings.0.iter().find(|one| one["name"] == name).unwrap();
    let messages: Vec<&str> = named("rights")["problems"].as_array().unwrap().iter().map(message).collect();
    assert_eq!(messages.len(), 6, "{messages:#?}");
    let stack = "you may not call cloudformation:ContinueUpdateRollback, cloudformation:CreateChangeSet, \
                 cloudformation:DeleteChangeSet, cloudformation:DeleteStack, cloudformation:DetectStackDrift, \
                 cloudformation:ExecuteChangeSet, cloudformation:RollbackStack, \
                 cloudformation:UpdateTerminationProtection on \
                 arn:aws:cloudformation:us-east-1:000000000000:stack/ductwork-aws/";
    assert!(messages.iter().any(|one| one.starts_with(stack)), "{messages:#?}");
    let roles = message(&named("service roles")["problems"][0]);
    assert!(roles.ends_with("create: autoscaling.amazonaws.com, rds.amazonaws.com"), "{roles}");

    announce("the deploy role");
    let findings = account.doctor_as("deployer", 0);
    let rights = findings.0.iter().find(|one| one["name"] == "rights").unwrap();
    assert_eq!(rights["text"], "the calls of this tool are allowed", "{rights:#}");
}

fn message(problem: &Value) -> &str {
    problem["message"].as_str().unwrap()
}

/// Six hosts of two vCPUs on a quota of five: refused by all verbs, and none has touched anything.
fn too_few_vcpus(account: &Account) {
    announce("too few vCPUs");
    account.environment(&[(WORKERS, "[workers.default]\nmin = 5\nmax = 9\n")]);
    let told = account.doctor(2).only("on-demand vCPUs");
    let expected = "environments/aws.toml `hosts.scheduler`, `workers.default`: the deployment starts on-demand \
                    instances with 12 vCPUs (hosts.scheduler 2, workers.default 10); the account may run 5 in \
                    us-east-1, and other instances use 0";
    assert_eq!(told, expected);
    for verb in [&["plan", "--env", "aws"][..], &["deploy", "--env", "aws", "--yes"]] {
        let run = account.run(verb).expect(2);
        let said = format!("{}{}", run.stdout, run.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("the account may run 5 in us-east-1"), "{said}");
        assert!(said.contains("--quota-code L-1216C47A --desired-value 12 --region us-east-1"), "{said}");
    }
    assert!(account.project.object("environments/aws/current.json").is_none());
    account.has(&["raise", "12"]);
    let findings = account.doctor(0);
    let more = "a release that replaces workers needs 22 for a time; all workers at `max` would need 20";
    assert_eq!(findings.0[0]["text"], format!("needs 12; others use 0 of 12; {more}"));
    let plan = account.run(&["plan", "--env", "aws", "--format", "json"]).expect(0).json();
    let gate = plan["gates"].as_array().unwrap().iter().find(|gate| gate["name"] == "account").unwrap();
    assert_eq!((&gate["outcome"], &gate["notes"]), (&"passed".into(), &Value::Null));
}

fn instances_and_secrets(account: &Account) {
    announce("an instance type that is not offered");
    account.environment(&[(SCHEDULER, "[hosts.scheduler]\ninstance_type = \"g5g.xlarge\"\n")]);
    let told = account.doctor(2).only("instance types");
    let expected = "environments/aws.toml `hosts.scheduler.instance_type`: g5g.xlarge is not offered in \
                    us-east-1a, us-east-1b";
    assert_eq!(told, expected);

    announce("an image that is not there");
    for (line, what) in [
        ("image = \"ami-0a1b2c3d4e5f67890\"", "no image `ami-0a1b2c3d4e5f67890`"),
        ("image_parameter = \"/images/airflow\"", "no parameter `/images/airflow`"),
    ] {
        account.environment(&[("[hosts]\n", &format!("[hosts]\n{line}\n"))]);
        assert!(account.doctor(2).only("image").contains(what));
    }

    announce("a secret that nobody has created");
    let login = "[login]\nmethod = \"google\"\ngoogle_client_id = \"1234.apps.googleusercontent.com\"\n\
                 google_domain = \"example.com\"\n";
    account.environment(&[("[login]\n", login)]);
    assert!(account.doctor(2).only("secrets").contains("needs the secret `ductwork/aws/login/google`"));
    account.has(&["lock"]);
    assert!(account.doctor(2).only("secrets").ends_with("its KMS key is in the state Disabled"));
    account.has(&["unlock"]);
    assert!(account.doctor(0).outcomes().contains(&"secrets: ok".to_owned()));
}

fn used_up(account: &Account) {
    announce("addresses and VPCs are used up");
    account.has(&["fill"]);
    account.environment(&[]);
    let findings = account.doctor(2);
    let missing: Vec<String> =
        findings.outcomes().into_iter().filter(|one| one.ends_with("missing")).collect();
    assert_eq!(missing, ["elastic addresses: missing", "VPCs: missing"]);
    account.has(&["empty"]);
    account.doctor(0);
}

fn names(account: &Account, made: &Made) {
    announce("certificate and hosted zone");
    let entry = |lines: &str| {
        let entry = format!("[entry]\nload_balancer = \"internal\"\n{lines}\n");
        let airflow = "[airflow]\nurl = \"https://airflow.example.com\"\n";
        account.environment(&[(ENTRY, &entry), ("[airflow]\n", airflow)]);
    };
    entry(&format!("certificate_arn = \"{}\"", made.issued));
    account.doctor(0);
    entry(&format!("certificate_arn = \"{}\"", made.pending));
    assert!(
        account.doctor(2).only("certificate").ends_with("the certificate is not issued: PENDING_VALIDATION")
    );
    entry(&format!("certificate_arn = \"{}0\"", made.issued));
    assert!(account.doctor(2).only("certificate").contains("there is no certificate"));
    // The region of an ARN is in the file, so nobody needs to be asked.
    let elsewhere = made.issued.replace("us-east-1", "eu-west-1");
    entry(&format!("certificate_arn = \"{elsewhere}\""));
    let refused = account.run(&["doctor", "--env", "aws"]).expect(2).stderr;
    assert!(refused.contains("the certificate is in `eu-west-1`"), "{refused}");
    entry(&format!("hosted_zone_id = \"{}\"", made.zone));
    let told = account.doctor(2).only("hosted zone");
    assert!(told.contains("of `example.org`, to which `airflow.example.com` does not belong"), "{told}");
}

fn subnets(account: &Account, made: &Made) {
    announce("subnets of an existing VPC");
    let network = |ids: &[&String]| {
        let network = format!("[network]\nvpc_id = \"{}\"\nsubnet_ids = {ids:?}\n", made.vpc);
        account.environment(&[(NETWORK, &network), (ENTRY, "[entry]\nload_balancer = \"internal\"\n")]);
    };
    let [first, same, other] = &made.subnets[..] else { panic!("three subnets were made") };
    network(&[first, other]);
    assert!(account.doctor(0).outcomes().contains(&"subnets: ok".to_owned()));
    network(&[first, same]);
    assert!(account.doctor(2).only("subnets").contains("all in one availability zone"));
}
