//! Keys that contradict each other, and defaults that depend on other keys.

use super::tests::{CERTIFICATE, aws, bad, balanced, good};
use crate::config::{Builder, Environment, Images};
use crate::model::contract::CONTRACT;
use std::collections::BTreeSet;

/// Parameters that differ between two environments, of the second.
fn differing(one: &Environment, other: &Environment) -> String {
    let (one, other) = (one.parameters(&Images::example(), None), other.parameters(&Images::example(), None));
    let differs = |(name, value): &(&String, &String)| one.get(*name) != Some(*value);
    other.iter().filter(differs).map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[test]
fn high_availability_changes_defaults_only() {
    let plain = good(&aws(""));
    let high = good(&format!(
        "high_availability = true\n{}",
        balanced(&format!("[entry]\nallowed_cidrs = ['203.0.113.0/24']\n{CERTIFICATE}"))
    ));
    insta::assert_snapshot!(differing(&plain, &high), @r"
    AirflowUrl=https://airflow.example.com
    ApiServerCount=2
    CacheReplicas=1
    CertificateArn=arn:aws:acm:eu-central-1:111122223333:certificate/0a
    DatabaseMultiAz=true
    EntryScheme=internal
    NatMode=per-zone
    SchedulerCount=2
    ");
    assert_eq!(high.worker_sets()[0].min, 2);
    let written = "[network]\nzones = 2\nnat = 'none'\n[entry]\nload_balancer = 'none'\nallowed_cidrs = ['203.0.113.0/24']\n[database]\nmulti_az = false\n\
                   [broker]\nkind = 'valkey'\nreplicas = 0\n[hosts]\nscheduler.count = 1\n[workers.default]\nmin = 1\n";
    let high = good(&format!("high_availability = true\n{}", aws(written)));
    insta::assert_snapshot!(differing(&plain, &high), @"BrokerKind=valkey");
    assert_eq!(high.worker_sets()[0].min, 1);
}

#[test]
fn on_this_machine_hosts_need_no_way_out() {
    let plain = good("aws.endpoint = 'local'");
    assert_eq!(plain.parameters(&Images::example(), None)["NatMode"], "none");
    let most = good("high_availability = true\nprotected = true\naws.endpoint = 'local'");
    insta::assert_snapshot!(differing(&plain, &most), @r"
    AccessLogs=true
    ApiServerCount=2
    AuditTrail=true
    CacheReplicas=1
    DatabaseMultiAz=true
    EntryScheme=internal
    FlowLogs=true
    Protected=true
    SchedulerCount=2
    ");
}

/// A mistake elsewhere in `aws` does not make it another cloud.
#[test]
fn on_this_machine_whatever_else_is_wrong() {
    insta::assert_snapshot!(bad("[aws]\nendpoint = 'local'\nregion = 'here'\n"), @r"
    environments/dev.toml:3 `aws.region`: invalid region: `here` [invalid_value]
        use a region name like `eu-central-1`
    ");
}

#[test]
fn a_protected_environment_is_recorded() {
    let plain = good(&aws(""));
    let protected = good(&format!("protected = true\n{}", aws("")));
    insta::assert_snapshot!(differing(&plain, &protected), @r"
    AccessLogs=true
    AuditTrail=true
    FlowLogs=true
    Protected=true
    ");
}

#[test]
fn keys_of_the_network_that_exclude_each_other() {
    insta::assert_snapshot!(bad(&aws("[network]\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']\npublic_subnet_ids = ['subnet-0a1b2c3d']\n")), @r"
    environments/dev.toml:7 `network.subnet_ids`: `subnet_ids` requires `vpc_id` [conflict]
        add the `vpc_id` that the subnets belong to, or remove them to create a new VPC
    environments/dev.toml:8 `network.public_subnet_ids`: at least two subnets are required [invalid_value]
        list subnets in at least two availability zones
    environments/dev.toml:8 `network.public_subnet_ids`: `public_subnet_ids` requires `vpc_id` [conflict]
        add the `vpc_id` that the subnets belong to, or remove them to create a new VPC
    ");
    insta::assert_snapshot!(bad(&balanced(
        "[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']\nzones = 3\nnat = 'none'\n\
         interface_endpoints = true\nflow_logs = true\n[entry]\nload_balancer = 'internet_facing'\nhosted_zone_id = 'Z01'\nallowed_cidrs = ['10.0.0.0/8']\n"
    )), @r"
    environments/dev.toml:9 `network.zones`: `zones` has no effect with an existing VPC [conflict]
        remove it, or remove `vpc_id` to create a new VPC
    environments/dev.toml:10 `network.nat`: `nat` has no effect with an existing VPC [conflict]
        remove it, or remove `vpc_id` to create a new VPC
    environments/dev.toml:11 `network.interface_endpoints`: `interface_endpoints` has no effect with an existing VPC [conflict]
        remove it, or remove `vpc_id` to create a new VPC
    environments/dev.toml:12 `network.flow_logs`: `flow_logs` has no effect with an existing VPC [conflict]
        remove it, or remove `vpc_id` to create a new VPC
    environments/dev.toml:14 `entry.load_balancer`: an internet-facing load balancer in an existing VPC requires `public_subnet_ids` [conflict]
        add `public_subnet_ids` under `[network]`: subnets with a route to an internet gateway
    ");
}

#[test]
fn keys_of_the_entry_that_do_not_fit() {
    insta::assert_snapshot!(bad(&balanced("[entry]\nload_balancer = 'internal'\nallowed_cidrs = ['10.0.0.0/8']")), @r"
    environments/dev.toml:5 `airflow.url`: `https` requires a certificate on the load balancer [conflict]
        add `certificate_arn` under `[entry]`, or `hosted_zone_id` to let the stack request and validate a certificate
    ");
    let none = "[entry]\nallowed_cidrs = []\ncertificate_arn = 'arn:aws:acm:us-east-1:111122223333:certificate/0a'\n\
                hosted_zone_id = 'example.com'\naccess_logs = true\nfirewall = true\n[hosts.api_server]\ncount = 2\n";
    insta::assert_snapshot!(bad(&aws(none)), @r#"
    environments/dev.toml:7 `entry.allowed_cidrs`: the list is empty [invalid_value]
        use `["127.0.0.1/32"]` to allow no access from outside
    environments/dev.toml:8 `entry.certificate_arn`: the certificate is in `us-east-1`, but the environment is in `eu-central-1` [invalid_value]
        use a certificate in `eu-central-1`
    environments/dev.toml:8 `entry.certificate_arn`: `certificate_arn` has no effect without a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:9 `entry.hosted_zone_id`: invalid hosted zone ID: `example.com` [invalid_value]
        find it: aws route53 list-hosted-zones --query 'HostedZones[].[Id,Name]'
    environments/dev.toml:10 `entry.access_logs`: `access_logs` has no effect without a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:11 `entry.firewall`: `firewall` has no effect without a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:13 `hosts.api_server.count`: more than one API server requires a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"` under `[entry]`, or remove it
    "#);
    let plain = "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[airflow]\nurl = 'http://10.0.0.1:8080'\n\
                 [entry]\nload_balancer = 'internal'\nhosted_zone_id = 'Z01'\n\
                 certificate_arn = 'arn:aws:acm:eu-central-1:111122223333:certificate/0a'\nallowed_cidrs = ['10.0.0.0/8']\n";
    insta::assert_snapshot!(bad(plain), @r"
    environments/dev.toml:5 `airflow.url`: the load balancer listens on port 80, not 8080 [conflict]
        remove the port, or the load balancer
    environments/dev.toml:8 `entry.hosted_zone_id`: `10.0.0.1` in `airflow.url` is not a name in a hosted zone [conflict]
        use a name of the zone in `airflow.url`, or remove the zone
    environments/dev.toml:9 `entry.certificate_arn`: a certificate has no effect if `airflow.url` is not https [conflict]
        set `airflow.url` to an address that starts with `https://`, or remove the certificate
    ");
    insta::assert_snapshot!(bad(&aws("[entry]\nload_balancer = 'intern'\nallowed_cidrs = ['10.0.0.1/8', '10.0.0.0/8', '10.0.0.0/8']\n")), @r"
    environments/dev.toml:7 `entry.load_balancer`: invalid load balancer: `intern` [invalid_value]
        use `internal`, or else `none` or `internet_facing`
    environments/dev.toml:8 `entry.allowed_cidrs`: a CIDR block must start at its network address, found `10.0.0.1/8` [invalid_value]
        use `10.0.0.0/8`
    environments/dev.toml:8 `entry.allowed_cidrs`: `10.0.0.0/8` is listed twice [invalid_value]
        remove one of the two
    ");
}

#[test]
fn keys_of_another_engine() {
    insta::assert_snapshot!(bad(&aws("[database]\nversion = '8.4'\nmin_capacity = 2\nurl_secret = 'postgresql://u:p@h/d'\n")), @r#"
    environments/dev.toml:7 `database.version`: `8.4` is a version of MySQL, but the engine is PostgreSQL [conflict]
        use `17` or `18`, or set `engine = "mysql"`
    environments/dev.toml:8 `database.min_capacity`: `min_capacity` has no effect without Aurora [conflict]
        remove it, or set `engine = "aurora_postgres"`
    environments/dev.toml:9 `database.url_secret`: expected the ARN of a secret, found a URL; a URL may contain a password, and secrets do not belong in this file [invalid_value]
        store the URL in Secrets Manager and use the ARN that this prints: aws secretsmanager create-secret --name airflow-database --secret-string file://url.txt --query ARN --output text
    environments/dev.toml:9 `database.url_secret`: `url_secret` requires `engine = "existing"` [conflict]
        set `engine = "existing"` to use that database, or remove the key
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'mysql'\nversion = 17\nsnapshot = 'a b'\n")), @r#"
    environments/dev.toml:8 `database.version`: `17` is a version of PostgreSQL, but the engine is MySQL [conflict]
        use `8.4`, or set `engine = "postgres"`
    environments/dev.toml:9 `database.snapshot`: invalid snapshot name or ARN: `a b` [invalid_value]
        find it: aws rds describe-db-snapshots --query 'DBSnapshots[].DBSnapshotIdentifier'
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'mysql'\nversion = 8.4\n")), @r#"
    environments/dev.toml:8 `database.version`: expected a string or an integer, found a float [wrong_type]
        put it in quotes: `version = "8.4"`
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'aurora_postgres'\nversion = 16\nstorage_gib = 20\nmin_capacity = 8\nmax_capacity = 2.25\n")), @r"
    environments/dev.toml:8 `database.version`: unsupported version of PostgreSQL: `16` [invalid_value]
        use `17` or `18`
    environments/dev.toml:9 `database.storage_gib`: `storage_gib` has no effect with Aurora Serverless [conflict]
        remove it, and set `min_capacity` and `max_capacity` instead
    environments/dev.toml:11 `database.max_capacity`: `2.25` is not a multiple of 0.5 [invalid_value]
        use a multiple of 0.5
    ");
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'aurora_postgres'\nmin_capacity = 8\nmax_capacity = 4\n")), @r"
    environments/dev.toml:9 `database.max_capacity`: 4 is less than `min_capacity`, which is 8 [conflict]
        use 8 or more, or lower `min_capacity`
    ");
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'existing'\nversion = 17\nmulti_az = true\nmax_capacity = 8\n")), @r#"
    environments/dev.toml:8 `database.version`: `version` has no effect with an existing database [conflict]
        remove it
    environments/dev.toml:9 `database.multi_az`: `multi_az` has no effect with an existing database [conflict]
        remove it
    environments/dev.toml:10 `database.max_capacity`: `max_capacity` has no effect with an existing database [conflict]
        remove it
    environments/dev.toml `database.url_secret`: required key is missing [missing_key]
        add `url_secret = "arn:…"` under `[database]`: the ARN of a secret in Secrets Manager whose value is the SQLAlchemy URL of the database
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'postgre'\nversion = '8.4'\n[broker]\nnode_type = 't4g.small'\nreplicas = 1\n")), @r#"
    environments/dev.toml:7 `database.engine`: invalid database engine: `postgre` [invalid_value]
        use `postgres`, or else `aurora_postgres`, `mysql` or `existing`
    environments/dev.toml:10 `broker.node_type`: invalid ElastiCache node type: `t4g.small` (it must start with `cache.`) [invalid_value]
        use a type like `cache.t4g.small`
    environments/dev.toml:10 `broker.node_type`: `node_type` has no effect with SQS [conflict]
        remove it, or set `kind = "valkey"`
    environments/dev.toml:11 `broker.replicas`: `replicas` has no effect with SQS [conflict]
        remove it, or set `kind = "valkey"`
    "#);
}

#[test]
fn versions_are_words_or_numbers() {
    let version = |text: &str| {
        good(&aws(&format!("[database]\n{text}"))).parameters(&Images::example(), None)["DatabaseVersion"]
            .clone()
    };
    assert_eq!(version("version = 18"), "18");
    assert_eq!(version("version = '18'\nengine = 'aurora_postgres'"), "18");
    assert_eq!(version("engine = 'mysql'"), "8.4");
    let capacity = good(&aws("[database]\nengine = 'aurora_postgres'\nmin_capacity = 8\n"))
        .parameters(&Images::example(), None);
    assert_eq!((&*capacity["AuroraMinCapacity"], &*capacity["AuroraMaxCapacity"]), ("8", "8"));
}

#[test]
fn worker_sets_that_do_not_fit_together() {
    let text = "[workers]\nmin = 3\n[workers.default]\nqueue = 'main'\n[workers.Big]\n[workers.a-1]\nqueue = 'main'\n[workers.a1]\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `workers.min`: expected a table, found an integer [wrong_type]
        start a table with the line `[workers.default]` and put its keys below
    environments/dev.toml:9 `workers.default.queue`: `a-1` and `default` would both serve the queue `main` [conflict]
        set a different `queue` for one of the two
    environments/dev.toml:10 `workers.Big`: invalid worker set name: `Big` [invalid_value]
        use at most 20 lower-case letters, digits and hyphens; start with a letter and do not end with a hyphen
    environments/dev.toml:13 `workers.a1`: `a-1` and `a1` would become the same stack, `WorkerA1` [conflict]
        rename one of the two
    ");
    insta::assert_snapshot!(bad(&aws("[workers.default]\nqueue = 'main'\n")), @r#"
    environments/dev.toml:7 `workers.default.queue`: no worker set serves `default`, the queue of tasks that do not name one [conflict]
        remove it, or set `queue = "default"` for another worker set
    "#);
    let moved = "[workers.default]\nqueue = 'main'\n[workers.other]\nqueue = 'default'\n";
    assert_eq!(good(&aws(moved)).worker_sets().len(), 2);
}

#[test]
fn keys_of_a_worker_set_that_do_not_fit() {
    let text = "[workers.big]\nspot_percent = 50\n[workers.base]\nspot_percent = 50\non_demand_base = 2\nmax = 2\n\
                [workers.only]\non_demand_base = 1\n[workers.small]\non_scheduler = true\ninstance_type = 't3.small'\nmax = 2\n\
                spot_percent = 0\nrollout = 'slow'\n[workers.types]\nmore_instance_types = ['t3.medium', 't4g.medium', 't3.medium']\n\
                growth_threshold = 0.5\nconcurency = 1\n";
    insta::assert_snapshot!(bad(&aws(text)), @r#"
    environments/dev.toml:7 `workers.big.spot_percent`: `spot_percent` requires `max` [conflict]
        add `max`: Spot only takes its share of the hosts that come and go above `min`
    environments/dev.toml:9 `workers.base.spot_percent`: no host would be Spot: `on_demand_base` is 2, and `max` is 2 [conflict]
        lower `on_demand_base`, raise `max`, or remove `spot_percent`
    environments/dev.toml:13 `workers.only.on_demand_base`: `on_demand_base` requires `spot_percent` [conflict]
        add `spot_percent`, or remove it
    environments/dev.toml:16 `workers.small.instance_type`: `instance_type` has no effect on a worker set without hosts of its own [conflict]
        remove it (if `[hosts.scheduler]` has the key, set it there), or remove `on_scheduler`
    environments/dev.toml:17 `workers.small.max`: `max` has no effect on a worker set without hosts of its own [conflict]
        remove it (if `[hosts.scheduler]` has the key, set it there), or remove `on_scheduler`
    environments/dev.toml:19 `workers.small.rollout`: `rollout` has no effect on a worker set without hosts of its own [conflict]
        remove it (if `[hosts.scheduler]` has the key, set it there), or remove `on_scheduler`
    environments/dev.toml:19 `workers.small.rollout`: invalid rollout pace: `slow` [invalid_value]
        use `one_at_a_time`, `half_at_a_time` or `all_at_once`
    environments/dev.toml:21 `workers.types.more_instance_types`: `t3.medium` is listed twice [invalid_value]
        remove one of the two
    environments/dev.toml:21 `workers.types.more_instance_types`: `t4g.medium` is arm64, but the hosts are x86_64 [conflict]
        use a type of x86_64, or set `hosts.architecture = "arm64"` for all hosts
    environments/dev.toml:21 `workers.types.more_instance_types`: `t3.medium` is already the `instance_type` [conflict]
        remove it from the list
    environments/dev.toml:22 `workers.types.growth_threshold`: `shrink_threshold` is 0.7, which is not below `growth_threshold`, 0.5 [conflict]
        lower `shrink_threshold`; otherwise hosts are added and removed over and over
    environments/dev.toml:23 `workers.types.concurency`: unknown key [unknown_key]
        rename it to `concurrency`, or remove it
    "#);
}

#[test]
fn policies_that_leave_the_project() {
    let text = "[hosts.api_server]\npolicies = ['/etc/x.json', '../x.json', 'a/x.json', 'b/x.json']\n\
                [hosts.scheduler]\nmanaged_policies = ['AmazonS3ReadOnlyAccess']\n[workers.default]\npolicies = ['x.yaml']\n\
                [additional]\ntemplates = '../more'\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `hosts.api_server.policies`: the path is absolute: `/etc/x.json` [invalid_value]
        use a path relative to the project root, such as `policies/read-lake.json`
    environments/dev.toml:7 `hosts.api_server.policies`: the path leaves the project: `../x.json` [invalid_value]
        use a path relative to the project root, such as `policies/read-lake.json`
    environments/dev.toml:7 `hosts.api_server.policies`: `a/x.json` and `b/x.json` would become the same policy, since policies are named after the file [conflict]
        rename one of the two files
    environments/dev.toml:9 `hosts.scheduler.managed_policies`: invalid ARN of a managed policy: `AmazonS3ReadOnlyAccess` [invalid_value]
        use an ARN like `arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess`; list policy documents of this project under `policies`
    environments/dev.toml:11 `workers.default.policies`: the file name must end in `.json`: `x.yaml` [invalid_value]
        use a path relative to the project root, such as `policies/read-lake.json`
    environments/dev.toml:13 `additional.templates`: the path leaves the project: `../more` [invalid_value]
        use the path of a folder relative to the project root, such as `templates/more`
    ");
    let text = "[hosts.scheduler]\npolicies = ['policies/a.json', 'policies/b.json']\n[workers.big-fish]\npolicies = ['policies/a.json']\n";
    let policies: Vec<_> =
        good(&aws(text)).policies().into_iter().map(|(whose, path)| format!("{whose} {path}")).collect();
    assert_eq!(
        policies,
        ["Scheduler policies/a.json", "Scheduler policies/b.json", "WorkerBigFish policies/a.json"]
    );
}

#[test]
fn logins_and_mail_that_lack_something() {
    insta::assert_snapshot!(bad(&aws("[login]\nmethod = 'google'\nadmins = ['a@example.com']\n")), @r#"
    environments/dev.toml `login.google_client_id`: required key is missing [missing_key]
        add `google_client_id = "….apps.googleusercontent.com"` under `[login]`, from https://console.cloud.google.com/apis/credentials
    environments/dev.toml `login.google_domain`: required key is missing [missing_key]
        add `google_domain = "example.com"` under `[login]`: only accounts of this domain can log in
    "#);
    let google = "[login]\nmethod = 'google'\ngoogle_client_id = '1.apps.googleusercontent.com'\ngoogle_domain = 'example.com'\n\
                  default_role = 'viewer'\nadmins = ['a@example.com', 'b@example.org']\n[login.roles]\n'a@example.com' = 'Op'\n'c' = 'Op'\n";
    insta::assert_snapshot!(bad(&aws(google)), @r"
    environments/dev.toml:10 `login.default_role`: unknown role: `viewer` [invalid_value]
        use `Viewer`
    environments/dev.toml:11 `login.admins`: `b@example.org` is not in `example.com`, the only domain that can log in [invalid_value]
        correct the address, or `google_domain`
    environments/dev.toml:13 `login.roles.a@example.com`: `a@example.com` has two roles [conflict]
        remove it here, or from `admins`
    environments/dev.toml:14 `login.roles.c`: invalid email address: `c` [invalid_value]
        use an address like `name@example.com`
    ");
    insta::assert_snapshot!(bad(&aws("[login]\nadmins = ['a@example.com']\ngoogle_domain = 'example.com'\n[mail]\nfrom = 'a@b.example'\n")), @r#"
    environments/dev.toml:7 `login.admins`: `admins` has no effect with passwords [conflict]
        set `method = "google"`, or remove it
    environments/dev.toml:8 `login.google_domain`: `google_domain` has no effect with passwords [conflict]
        set `method = "google"`, or remove it
    environments/dev.toml:10 `mail.from`: `from` has no effect without `host` [conflict]
        add `host`, the name of the mail server, or remove it
    "#);
    insta::assert_snapshot!(bad(&aws("[mail]\nhost = 'https://mail'\nssl = true\nstarttls = true\n")), @r#"
    environments/dev.toml:7 `mail.host`: invalid DNS name: `https://mail` [invalid_value]
        use a name like `example.com`, without `https://` or `@`
    environments/dev.toml:8 `mail.ssl`: `ssl` and `starttls` cannot be used together [conflict]
        set `starttls = false` if the server expects TLS from the start, as on port 465
    environments/dev.toml `mail.from`: required key is missing [missing_key]
        add `from = "airflow@example.com"` under `[mail]`: the sender of all mail
    "#);
}

#[test]
fn what_hosts_are_told_of_logins_and_mail() {
    let text = "[login]\nmethod = 'google'\ngoogle_client_id = '1.apps.googleusercontent.com'\ngoogle_domain = 'example.com'\n\
                admins = ['Ada@example.com']\nroles.'b@example.com' = 'Op'\n[mail]\nhost = 'smtp.example.com'\nfrom = 'a@b.example'\nssl = true\n";
    let parameters = good(&aws(text)).parameters(&Images::example(), None);
    insta::assert_snapshot!(parameters["LoginConfig"], @r#"{"default_role":"Viewer","google_client_id":"1.apps.googleusercontent.com","google_domain":"example.com","method":"google","roles":{"ada@example.com":"Admin","b@example.com":"Op"},"service_role":"Op"}"#);
    insta::assert_snapshot!(parameters["MailConfig"], @r#"{"from":"a@b.example","host":"smtp.example.com","port":465,"ssl":true,"starttls":false}"#);
    insta::assert_snapshot!(good(&aws("")).parameters(&Images::example(), None)["LoginConfig"], @r#"{"default_role":"Viewer","method":"password","roles":{},"service_role":"Op"}"#);
}

#[test]
fn times_and_the_rest() {
    let text = "[schedule]\nsleep = '0 20 * * *'\ntime_zone = 'CEST'\n[logs]\nservice_retention_days = 31\n[alerts]\nemail = 'x'\n\
                budget_usd = -1\n[github]\nrepository = 'https://github.com/acme/data'\n[additional.parameters]\nLakePassword = 'x'\n\
                [tags]\nteam = 'x'\n";
    insta::assert_snapshot!(bad(&format!("team = 'a*b'\n{}", aws(text))), @r#"
    environments/dev.toml:1 `team`: the tag value contains characters that AWS does not allow: `a*b` [invalid_value]
        use only letters, digits, spaces and `_.:/=+-@`
    environments/dev.toml:8 `schedule.sleep`: `sleep` requires `wake` [conflict]
        add `wake`: without it, worker hosts never come back
    environments/dev.toml:9 `schedule.time_zone`: invalid time zone: `CEST` [invalid_value]
        use `UTC` or a name like `Europe/Berlin` from https://en.wikipedia.org/wiki/List_of_tz_database_time_zones
    environments/dev.toml:11 `logs.service_retention_days`: CloudWatch does not support a retention of 31 days [invalid_value]
        use 60, the next number of days that it supports
    environments/dev.toml:13 `alerts.email`: invalid email address: `x` [invalid_value]
        use an address like `name@example.com`
    environments/dev.toml:14 `alerts.budget_usd`: `-1` is out of range: 0 to 10000000 dollars [invalid_value]
        use a number from 0 to 10000000
    environments/dev.toml:16 `github.repository`: invalid GitHub repository: `https://github.com/acme/data` [invalid_value]
        use `acme/data`
    environments/dev.toml:18 `additional.parameters.LakePassword`: `LakePassword` appears to contain a secret; secrets do not belong in this file [invalid_value]
        store the value in Secrets Manager, and give the template the ARN of the secret in a parameter such as `LakeSecretArn`
    environments/dev.toml:18 `additional.parameters.LakePassword`: parameters require `additional.templates` [conflict]
        add `templates = "…"` under `[additional]`: the folder with the templates that declare these parameters
    environments/dev.toml:20 `tags.team`: the tag `team` is set by the tool [owned_key]
        set `team` at the top of the file instead
    "#);
    insta::assert_snapshot!(bad(&aws("[schedule]\nsleep = '0 20 * * *'\nwake = '0 20 * * *'\n")), @r"
    environments/dev.toml:8 `schedule.wake`: `wake` and `sleep` are at the same time [conflict]
        use different times for `wake` and `sleep`
    ");
}

#[test]
fn hosts_of_ones_own() {
    let text = "[hosts]\nimage = 'ami-0a1b2c3d'\npackages = ['graphviz', 'gcc-c++']\n";
    let plain = good(&aws(""));
    insta::assert_snapshot!(differing(&plain, &good(&aws(text))), @r"
    HostPackages=graphviz,gcc-c++
    ");
    assert_eq!(good(&aws(text)).image().unwrap().name, "ami-0a1b2c3d");
    let by_name = good(&aws("[hosts]\nimage_parameter = '/images/airflow'\n"));
    insta::assert_snapshot!(differing(&plain, &by_name), @"HostImageParameter=/images/airflow");
    let text = "[hosts]\nimage = 'ami-0a1b2c3d'\nimage_parameter = 'ami-0a1b2c3d'\n\
                packages = ['-y', 'https://example.com/a.rpm', '@development-tools', 'a,b', 'gcc', 'gcc']\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `hosts.image`: `image` and `image_parameter` cannot be used together [conflict]
        remove one of the two
    environments/dev.toml:8 `hosts.image_parameter`: invalid name of an SSM parameter: `ami-0a1b2c3d` (it must start with a slash) [invalid_value]
        set `image` instead: this is the ID of an image
    environments/dev.toml:9 `hosts.packages`: invalid package name: `-y` [invalid_value]
        use the name of a package such as `graphviz`; whatever else a host needs belongs in `airflow/host/startup.sh`
    environments/dev.toml:9 `hosts.packages`: invalid package name: `https://example.com/a.rpm` [invalid_value]
        use the name of a package such as `graphviz`; whatever else a host needs belongs in `airflow/host/startup.sh`
    environments/dev.toml:9 `hosts.packages`: invalid package name: `@development-tools` [invalid_value]
        use the name of a package such as `graphviz`; whatever else a host needs belongs in `airflow/host/startup.sh`
    environments/dev.toml:9 `hosts.packages`: invalid package name: `a,b` [invalid_value]
        use the name of a package such as `graphviz`; whatever else a host needs belongs in `airflow/host/startup.sh`
    environments/dev.toml:9 `hosts.packages`: `gcc` is listed twice [invalid_value]
        remove one of the two
    ");
    let many = format!("[hosts]\npackages = {:?}\n", (0..41).map(|i| format!("p{i}")).collect::<Vec<_>>());
    insta::assert_snapshot!(bad(&aws(&many)), @r"
    environments/dev.toml:7 `hosts.packages`: too many values: 41, the limit is 40 [invalid_value]
        remove some of them
    ");
}

#[test]
fn keys_that_have_moved() {
    insta::assert_snapshot!(bad(&aws("[network]\nallowed_cidr = '10.0.0.0/8'\n[hosts.worker]\nmin = 2\n")), @r#"
    environments/dev.toml:7 `network.allowed_cidr`: moved to `entry.allowed_cidrs` [moved_key]
        write `allowed_cidrs = ["…"]` under `[entry]`
    environments/dev.toml:8 `hosts.worker`: moved to `workers.default` [moved_key]
        rename the table to `[workers.default]`; its keys are the same
    "#);
}

#[test]
fn a_worker_set_is_complete() {
    let text = "[workers.big-fish]\ninstance_type = 'm7i.large'\nmore_instance_types = ['m6i.large', 'm5.large']\nspot_percent = 80\n\
                on_demand_base = 1\nmax = 8\nconcurrency = 16\nmanaged_policies = ['arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess']\n";
    let environment = good(&aws(text));
    let sets = environment.worker_sets();
    let names: Vec<&str> = sets.iter().map(|set| &*set.name).collect();
    assert_eq!(names, ["big-fish", "default"]);
    let given = sets[0].parameters();
    insta::assert_snapshot!(given.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>(), @r"
    Concurrency=16
    DeploymentConfig=CodeDeployDefault.OneAtATime
    InstanceType=m7i.large
    MaxCount=8
    MinCount=0
    MoreInstanceTypes=m6i.large,m5.large
    OnDemandBase=1
    OnDemandPercent=20
    OnScheduler=false
    Queue=big-fish
    VolumeGiB=30
    WorkerManagedPolicyArns=arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
    WorkerSet=big-fish
    ");
    let mut settings = sets[1].settings();
    settings.sort_all_objects(); // in which order they come is up to the features of serde_json
    insta::assert_snapshot!(settings, @r#"{"concurrency":4,"growth_threshold":1.0,"max":1,"min":1,"on_scheduler":false,"prefix":"WorkerDefault","queue":"default","shrink_after_minutes":10,"shrink_threshold":0.7}"#);
}

#[test]
fn the_settings_of_a_worker_set_are_those_of_the_contract() {
    let environment = good(&aws(""));
    let settings = environment.worker_sets()[0].settings();
    let keys: BTreeSet<&String> = settings.as_object().unwrap().keys().collect();
    assert_eq!(keys, CONTRACT.worker_set.keys.iter().collect());
    assert_eq!(environment.worker_sets()[0].name.as_str(), CONTRACT.worker_set.default);
}

#[test]
fn a_wrong_value_is_not_compared_with_others() {
    let text = "[database]\nstorage_gib = 5\nmax_storage_gib = 21\n[workers.default]\nmin = -1\nmax = 200\n\
                growth_threshold = 0\nshrink_threshold = 2\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `database.storage_gib`: `5` is out of range: 20 to 65536 GiB [invalid_value]
        use a number from 20 to 65536
    environments/dev.toml:8 `database.max_storage_gib`: `21` is out of range: 22 to 65536 GiB [invalid_value]
        use a number from 22 to 65536
    environments/dev.toml:10 `workers.default.min`: `-1` is out of range: 0 to 100 hosts [invalid_value]
        use a number from 0 to 100
    environments/dev.toml:11 `workers.default.max`: `200` is out of range: 1 to 100 hosts [invalid_value]
        use a number from 1 to 100
    environments/dev.toml:12 `workers.default.growth_threshold`: `0` is out of range: 0.1 to 10 (tasks per task slot) [invalid_value]
        use a number from 0.1 to 10
    ");
    insta::assert_snapshot!(bad("[aws]\nendpoint = 'locale'\n"), @r"
    environments/dev.toml:2 `aws.endpoint`: invalid endpoint: `locale` [invalid_value]
        use `local` or a URL like `http://127.0.0.1:4566`, or remove the key to use AWS
    ");
}

#[test]
fn tags_of_the_tool() {
    let tags = |text: &str| good(text).tags();
    assert_eq!(tags(&aws(""))["team"], "ductwork");
    let tags = tags(&format!("team = 'data'\nproject = 'x'\n{}", aws("[tags]\na = 'b'")));
    let tags: Vec<String> = tags.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(tags, ["a=b", "environment=dev", "project=x", "team=data"]);
}

#[test]
fn what_nobody_could_reach_on_aws() {
    let direct = |more: &str| bad(&aws(&format!("[entry]\nallowed_cidrs = ['10.0.0.0/8']\n{more}")));
    insta::assert_snapshot!(direct("[network]\nnat = 'single'\n"), @r#"
    environments/dev.toml:9 `network.nat`: behind NAT, nobody can reach the API server without a load balancer [conflict]
        set `nat = "none"` under `[network]`, or set `load_balancer = "internal"` under `[entry]`
    "#);
    insta::assert_snapshot!(direct("load_balancer = 'none'\n[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']\n"), @r#"
    environments/dev.toml:10 `network.vpc_id`: in an existing VPC, only a load balancer gives Airflow an address that stays the same [conflict]
        set `load_balancer = "internal"` under `[entry]`
    "#);
    let written = |url: &str, more: &str| {
        bad(&format!(
            "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[airflow]\nurl = '{url}'\n[entry]\n{more}"
        ))
    };
    insta::assert_snapshot!(written("https://airflow.example.com", "load_balancer = 'none'"), @r#"
    environments/dev.toml:5 `airflow.url`: `https` requires a load balancer [conflict]
        set `load_balancer = "internal"` under `[entry]`, or start the address with `http://`
    environments/dev.toml `entry.allowed_cidrs`: required key is missing [missing_key]
        add `allowed_cidrs = ["203.0.113.7/32"]` under `[entry]`, with the addresses of your office or VPN; this prints your own: curl https://checkip.amazonaws.com
    "#);
    insta::assert_snapshot!(written("http://10.0.0.1", "allowed_cidrs = ['10.0.0.0/8']\nhosted_zone_id = 'Z01'"), @r#"
    environments/dev.toml:5 `airflow.url`: the API server listens on port 8080, not 80 [conflict]
        end the address with `:8080`, or set `load_balancer = "internal"` under `[entry]`
    environments/dev.toml:5 `airflow.url`: the stack reserves the IP address, so it cannot be known beforehand [conflict]
        remove `url`, or use a DNS name that you point to the output `AddressName` of the stack
    environments/dev.toml:8 `entry.hosted_zone_id`: `10.0.0.1` in `airflow.url` is not a name in a hosted zone [conflict]
        use a name of the zone in `airflow.url`, or remove the zone
    "#);
    let nameless = "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[entry]\n\
                    allowed_cidrs = ['10.0.0.0/8']\n";
    assert_eq!(good(nameless).parameters(&Images::example(), None)["AirflowUrl"], "");
    insta::assert_snapshot!(bad(&format!("{nameless}hosted_zone_id = 'Z01'\n")), @r"
    environments/dev.toml:6 `entry.hosted_zone_id`: a hosted zone requires `airflow.url` [conflict]
        use a name of the zone in `airflow.url`, or remove the zone
    ");
}

#[test]
fn an_api_server_on_the_scheduler_has_no_hosts() {
    let shared = |more: &str| aws(&format!("[hosts]\napi_server.on_scheduler = true\n{more}"));
    let environment = good(&shared("scheduler.instance_type = 't3.large'"));
    insta::assert_snapshot!(differing(&good(&aws("")), &environment), @r"
    ApiServerOnScheduler=true
    SchedulerInstanceType=t3.large
    ");
    insta::assert_snapshot!(bad(&shared("api_server.count = 1\napi_server.volume_gib = 20\nscheduler.count = 2\n")), @r#"
    environments/dev.toml:8 `hosts.api_server.count`: `count` has no effect on an API server without hosts of its own [conflict]
        remove it, or set it under `[hosts.scheduler]`, whose hosts run the API server
    environments/dev.toml:9 `hosts.api_server.volume_gib`: `volume_gib` has no effect on an API server without hosts of its own [conflict]
        remove it, or set it under `[hosts.scheduler]`, whose hosts run the API server
    environments/dev.toml:10 `hosts.scheduler.count`: more than one API server requires a load balancer [conflict]
        set `load_balancer` to `"internal"` or `"internet_facing"` under `[entry]`, or remove it
    "#);
}

#[test]
fn hosts_without_nat_have_no_address_that_a_balancer_could_know() {
    let entry =
        format!("[entry]\nload_balancer = 'internet_facing'\nallowed_cidrs = ['10.0.0.0/8']\n{CERTIFICATE}");
    let nat = |nat: &str| balanced(&format!("{nat}{entry}"));
    good(&nat("[network]\nnat = 'single'\n"));
    assert_eq!(good(&nat("")).parameters(&Images::example(), None)["NatMode"], "single");
    let told = bad(&nat("[network]\nnat = 'none'\n"));
    assert!(told.contains("without NAT") && told.contains("`network.nat`"), "{told}");
}

#[test]
fn secrets_that_only_people_have_are_named() {
    assert!(good(&aws("")).secrets_needed().is_empty());
    let google = "[login]\nmethod = 'google'\ngoogle_client_id = '1-a.apps.googleusercontent.com'\ngoogle_domain = 'example.com'";
    let environment = good(&aws(google));
    assert_eq!(environment.secrets_needed()[0].1, format!("ductwork/{}/login/google", environment.name));
}

#[test]
fn a_rollout_must_end_before_codedeploy_ends_it() {
    good(&aws("[workers.default]\nmax = 12\n"));
    good(&aws("[workers.default]\nmax = 100\nrollout = 'half_at_a_time'\n[hosts]\ndrain_minutes = 55\n"));
    // Beyond the hook, hosts are replaced and drain after the rollout.
    good(&aws("[workers.default]\nmax = 100\n[hosts]\ndrain_minutes = 1440\n"));
    insta::assert_snapshot!(bad(&aws("[hosts]\ndrain_minutes = 56\n[workers.small]\non_scheduler = true\n")), @r"
    environments/dev.toml:7 `hosts.drain_minutes`: the worker set `small` runs on the schedulers' hosts, which cannot be replaced for a drain of more than 55 minutes [conflict]
        use 55 or less, or remove `on_scheduler` so that the set has hosts of its own
    ");
    insta::assert_snapshot!(bad(&aws("[workers.default]\nmax = 13\n")), @r#"
    environments/dev.toml:7 `workers.default.max`: a rollout to 13 hosts, one at a time, may take 9 hours, since each has up to 40 minutes to drain and be set up; CodeDeploy ends it after 8 hours [conflict]
        set `rollout = "half_at_a_time"`, or have at most 12 hosts, or lower `hosts.drain_minutes`
    "#);
    good(&aws("[workers.default]\nmax = 11\n[release]\ncanary_minutes = 40\n"));
    insta::assert_snapshot!(bad(&aws("[workers.default]\nmax = 12\n[release]\ncanary_minutes = 1\n")), @r#"
    environments/dev.toml:7 `workers.default.max`: a rollout to 12 hosts, one at a time, may take 9 hours, since each has up to 40 minutes to drain and be set up, after up to 1 min for the canary; CodeDeploy ends it after 8 hours [conflict]
        set `rollout = "half_at_a_time"`, or have at most 11 hosts, or lower `hosts.drain_minutes`
    "#);
    insta::assert_snapshot!(bad(&aws("[hosts]\ndrain_minutes = 50\n[workers.big]\nmin = 9\n")), @r#"
    environments/dev.toml:9 `workers.big.min`: a rollout to 9 hosts, one at a time, may take 9 hours, since each has up to 60 minutes to drain and be set up; CodeDeploy ends it after 8 hours [conflict]
        set `rollout = "half_at_a_time"`, or have at most 8 hosts, or lower `hosts.drain_minutes`
    "#);
}

#[test]
fn what_is_compiled_and_by_what() {
    let container = good(&aws("[image]\ncompile = ['MySQLclient']\nbuild_packages = ['gcc', 'libmariadb-dev']\nbuilder = 'podman'\n")).container;
    assert_eq!(container.compile[0].as_str(), "mysqlclient");
    assert_eq!(
        (container.compilers().as_str(), container.builder),
        ("gcc libmariadb-dev", Some(Builder::Podman))
    );
    assert_eq!(good(&aws("")).container.builder, None);
    let text = "[image]\nbuild_packages = ['gcc']\nbuilder = 'kaniko'\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `image.build_packages`: `build_packages` has no effect without `compile` [conflict]
        name the packages to compile in `compile`, or remove it
    environments/dev.toml:8 `image.builder`: invalid builder of images: `kaniko` [invalid_value]
        use `docker`, `podman` or `buildah`
    ");
    let text = "[image]\nbase = 'scratch'\npackages = ['libpq5']\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:8 `image.packages`: `packages` has no effect on the base `scratch`, which runs on this machine's Python [conflict]
        name another base, or remove it
    ");
    insta::assert_snapshot!(bad(&aws("[image]\ncompile = ['mysqlclient==2', 'a_b', 'A-b']\n")), @r"
    environments/dev.toml:7 `image.compile`: invalid name of a Python package: `mysqlclient==2` [invalid_value]
        use the name of a Python package alone, such as `mysqlclient`; its version is in the lock
    environments/dev.toml:7 `image.compile`: `a-b` is listed twice [invalid_value]
        remove one of the two
    ");
}
