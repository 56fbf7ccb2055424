//! Keys that do not go together, and defaults that follow other keys.

use super::tests::{aws, bad, good};
use crate::config::Environment;

/// Parameters that differ between two environments, of the second.
fn differing(one: &Environment, other: &Environment) -> String {
    let (one, other) = (one.parameters(), other.parameters());
    let differs = |(name, value): &(&String, &String)| one.get(*name) != Some(*value);
    other.iter().filter(differs).map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[test]
fn high_availability_changes_defaults_only() {
    let plain = good(&aws(""));
    let high = good(&format!(
        "high_availability = true\n{}",
        aws("[entry]\ncertificate_arn = 'arn:aws:acm:eu-central-1:111122223333:certificate/0a'")
    ));
    insta::assert_snapshot!(differing(&plain, &high), @r"
    ApiServerCount=2
    CacheReplicas=1
    CertificateArn=arn:aws:acm:eu-central-1:111122223333:certificate/0a
    DatabaseMultiAz=true
    EntryScheme=internal
    NatMode=per-zone
    SchedulerCount=2
    ");
    assert_eq!(high.worker_sets()[0].min, 2);
    let written = "[network]\nzones = 2\nnat = 'single'\n[entry]\nload_balancer = 'none'\n[database]\nmulti_az = false\n\
                   [broker]\nkind = 'valkey'\nreplicas = 0\n[hosts]\nscheduler.count = 1\n[workers.default]\nmin = 1\n";
    let high = good(&format!("high_availability = true\n{}", aws(written)));
    insta::assert_snapshot!(differing(&plain, &high), @"BrokerKind=valkey");
    assert_eq!(high.worker_sets()[0].min, 1);
}

#[test]
fn on_this_machine_hosts_need_no_way_out() {
    let plain = good("aws.endpoint = 'local'");
    assert_eq!(plain.parameters()["NatMode"], "none");
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
    environments/dev.toml:3 `aws.region`: `here` is no region [invalid_value]
        write it like `eu-central-1`; leave out the zone's letter
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
    environments/dev.toml:7 `network.subnet_ids`: `subnet_ids` without `vpc_id` [conflict]
        add the `vpc_id` they belong to, or remove them for an own VPC
    environments/dev.toml:8 `network.public_subnet_ids`: fewer than two subnets [invalid_value]
        list subnets in at least two availability zones: the database needs them
    environments/dev.toml:8 `network.public_subnet_ids`: `public_subnet_ids` without `vpc_id` [conflict]
        add the `vpc_id` they belong to, or remove them for an own VPC
    ");
    insta::assert_snapshot!(bad(&aws(
        "[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d', 'subnet-1a1b2c3d']\nzones = 3\nnat = 'none'\n\
         interface_endpoints = true\nflow_logs = true\n[entry]\nload_balancer = 'internet_facing'\nhosted_zone_id = 'Z01'\n"
    )), @r"
    environments/dev.toml:9 `network.zones`: `zones` has no effect on an existing VPC [conflict]
        remove it: the network is yours; or remove `vpc_id` for an own VPC
    environments/dev.toml:10 `network.nat`: `nat` has no effect on an existing VPC [conflict]
        remove it: the network is yours; or remove `vpc_id` for an own VPC
    environments/dev.toml:11 `network.interface_endpoints`: `interface_endpoints` has no effect on an existing VPC [conflict]
        remove it: the network is yours; or remove `vpc_id` for an own VPC
    environments/dev.toml:12 `network.flow_logs`: `flow_logs` has no effect on an existing VPC [conflict]
        remove it: the network is yours; or remove `vpc_id` for an own VPC
    environments/dev.toml:14 `entry.load_balancer`: an existing VPC without `public_subnet_ids` [conflict]
        add `public_subnet_ids` below `[network]`: subnets with a route to an internet gateway
    ");
}

#[test]
fn keys_of_the_entry_that_do_not_fit() {
    insta::assert_snapshot!(bad(&aws("[entry]\nload_balancer = 'internal'")), @r"
    environments/dev.toml:5 `airflow.url`: `https` at the load balancer without a certificate [conflict]
        add `certificate_arn` below `[entry]`, or `hosted_zone_id` for one that the stack requests and validates
    ");
    let none = "[entry]\nallowed_cidrs = []\ncertificate_arn = 'arn:aws:acm:us-east-1:111122223333:certificate/0a'\n\
                hosted_zone_id = 'example.com'\naccess_logs = true\nfirewall = true\n[hosts.api_server]\ncount = 2\n";
    insta::assert_snapshot!(bad(&aws(none)), @r#"
    environments/dev.toml:7 `entry.allowed_cidrs`: lists nobody [invalid_value]
        write `["127.0.0.1/32"]` to let nobody in from outside
    environments/dev.toml:8 `entry.certificate_arn`: is in `us-east-1`, the environment lives in `eu-central-1` [invalid_value]
        name one in eu-central-1
    environments/dev.toml:8 `entry.certificate_arn`: `certificate_arn` has no effect without a load balancer [conflict]
        set `load_balancer = "internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:9 `entry.hosted_zone_id`: `example.com` is no id of a hosted zone, like `Z0123456789ABCDEFGHIJ` [invalid_value]
        find it with: aws route53 list-hosted-zones --query HostedZones[].[Id,Name]
    environments/dev.toml:9 `entry.hosted_zone_id`: `hosted_zone_id` has no effect without a load balancer [conflict]
        set `load_balancer = "internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:10 `entry.access_logs`: `access_logs` has no effect without a load balancer [conflict]
        set `load_balancer = "internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:11 `entry.firewall`: `firewall` has no effect without a load balancer [conflict]
        set `load_balancer = "internal"` or `"internet_facing"`, or remove it
    environments/dev.toml:13 `hosts.api_server.count`: several api-servers without a load balancer in front [conflict]
        set `load_balancer = "internal"` or `"internet_facing"` below `[entry]`, or remove it
    "#);
    let plain = "[aws]\naccount = '111122223333'\nregion = 'eu-central-1'\n[airflow]\nurl = 'http://10.0.0.1:8080'\n\
                 [entry]\nload_balancer = 'internal'\nhosted_zone_id = 'Z01'\n\
                 certificate_arn = 'arn:aws:acm:eu-central-1:111122223333:certificate/0a'\n";
    insta::assert_snapshot!(bad(plain), @r"
    environments/dev.toml:5 `airflow.url`: the load balancer listens at 80, not at 8080 [conflict]
        remove the port, or the load balancer
    environments/dev.toml:8 `entry.hosted_zone_id`: `10.0.0.1` of `airflow.url` is no name in a zone [conflict]
        write a name of the zone in `airflow.url`, or remove it
    environments/dev.toml:9 `entry.certificate_arn`: a certificate for an address that begins with `http://` [conflict]
        begin `airflow.url` with `https://`, or remove the certificate
    ");
    insta::assert_snapshot!(bad(&aws("[entry]\nload_balancer = 'intern'\nallowed_cidrs = ['10.0.0.1/8', '10.0.0.0/8', '10.0.0.0/8']\n")), @r"
    environments/dev.toml:7 `entry.load_balancer`: `intern` is no kind of load balancer [invalid_value]
        write `internal` if that is what you mean
    environments/dev.toml:8 `entry.allowed_cidrs`: `10.0.0.1/8` does not begin with the first address of its range [invalid_value]
        write `10.0.0.0/8`
    environments/dev.toml:8 `entry.allowed_cidrs`: `10.0.0.0/8` is listed twice [invalid_value]
        remove one of the two
    ");
}

#[test]
fn keys_of_another_engine() {
    insta::assert_snapshot!(bad(&aws("[database]\nversion = '8.4'\nmin_capacity = 2\nurl_secret = 'postgresql://u:p@h/d'\n")), @r#"
    environments/dev.toml:7 `database.version`: `8.4` is a version of MySQL, the engine is PostgreSQL [conflict]
        write `17` or `18`, or `engine = "mysql"`
    environments/dev.toml:8 `database.min_capacity`: `min_capacity` has no effect on another engine than Aurora [conflict]
        remove it, or write `engine = "aurora_postgres"`
    environments/dev.toml:9 `database.url_secret`: holds a URL, and this file is no place for one with a password [invalid_value]
        put the URL into Secrets Manager and write the ARN that this prints: aws secretsmanager create-secret --name airflow-database --secret-string file://url.txt
    environments/dev.toml:9 `database.url_secret`: the URL of a database beside one that is made here [conflict]
        write `engine = "existing"` to use that database, or remove it
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'mysql'\nversion = 17\nsnapshot = 'a b'\n")), @r#"
    environments/dev.toml:8 `database.version`: `17` is a version of PostgreSQL, the engine is MySQL [conflict]
        write `8.4`, or `engine = "postgres"`
    environments/dev.toml:9 `database.snapshot`: `a b` is no snapshot [invalid_value]
        find it with: aws rds describe-db-snapshots --query DBSnapshots[].DBSnapshotIdentifier
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'mysql'\nversion = 8.4\n")), @r#"
    environments/dev.toml:8 `database.version`: is a fraction, must be a string or a whole number [wrong_type]
        write it in quotes: `version = "8.4"`
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'aurora_postgres'\nversion = 16\nstorage_gib = 20\nmin_capacity = 8\nmax_capacity = 2.25\n")), @r"
    environments/dev.toml:8 `database.version`: `16` is no version of PostgreSQL that is known here [invalid_value]
        write `17` or `18`
    environments/dev.toml:9 `database.storage_gib`: `storage_gib` has no effect on Aurora Serverless [conflict]
        remove it; `min_capacity` and `max_capacity` say how large Aurora is
    environments/dev.toml:11 `database.max_capacity`: `2.25` is no multiple of a half [invalid_value]
        write a multiple of 0.5
    ");
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'aurora_postgres'\nmin_capacity = 8\nmax_capacity = 4\n")), @r"
    environments/dev.toml:9 `database.max_capacity`: 4 is less than `min_capacity`, 8 [conflict]
        write 8 or more, or lower `min_capacity`
    ");
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'existing'\nversion = 17\nmulti_az = true\nmax_capacity = 8\n")), @r#"
    environments/dev.toml:8 `database.version`: `version` has no effect on a database that is not made here [conflict]
        remove it
    environments/dev.toml:9 `database.multi_az`: `multi_az` has no effect on a database that is not made here [conflict]
        remove it
    environments/dev.toml:10 `database.max_capacity`: `max_capacity` has no effect on another engine than Aurora [conflict]
        remove it, or write `engine = "aurora_postgres"`
    environments/dev.toml `database.url_secret`: a required key is missing [missing_key]
        add `url_secret = "arn:…"` below `[database]`: the ARN of a secret in Secrets Manager whose value is the SQLAlchemy URL of the database
    "#);
    insta::assert_snapshot!(bad(&aws("[database]\nengine = 'postgre'\nversion = '8.4'\n[broker]\nnode_type = 't4g.small'\nreplicas = 1\n")), @r#"
    environments/dev.toml:7 `database.engine`: `postgre` is no database engine [invalid_value]
        write `postgres` if that is what you mean
    environments/dev.toml:10 `broker.node_type`: `t4g.small` is no node type of ElastiCache, which begin with `cache.` [invalid_value]
        write it like `cache.t4g.small`
    environments/dev.toml:10 `broker.node_type`: `node_type` has no effect on SQS [conflict]
        remove it, or write `kind = "valkey"`
    environments/dev.toml:11 `broker.replicas`: `replicas` has no effect on SQS [conflict]
        remove it, or write `kind = "valkey"`
    "#);
}

#[test]
fn versions_are_words_or_numbers() {
    let version =
        |text: &str| good(&aws(&format!("[database]\n{text}"))).parameters()["DatabaseVersion"].clone();
    assert_eq!(version("version = 18"), "18");
    assert_eq!(version("version = '18'\nengine = 'aurora_postgres'"), "18");
    assert_eq!(version("engine = 'mysql'"), "8.4");
    let capacity = good(&aws("[database]\nengine = 'aurora_postgres'\nmin_capacity = 8\n")).parameters();
    assert_eq!((&*capacity["AuroraMinCapacity"], &*capacity["AuroraMaxCapacity"]), ("8", "8"));
}

#[test]
fn worker_sets_that_do_not_fit_together() {
    let text = "[workers]\nmin = 3\n[workers.default]\nqueue = 'main'\n[workers.Big]\n[workers.a-1]\nqueue = 'main'\n[workers.a1]\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `workers.min`: is a whole number, must be a table [wrong_type]
        write a line `[workers.default]`, or another name, and its keys below it
    environments/dev.toml:9 `workers.default.queue`: `a-1` and `default` would both serve the queue `main` [conflict]
        give one of the two another `queue`
    environments/dev.toml:10 `workers.Big`: `Big` is no name for a worker set [invalid_value]
        use at most 20 lower-case letters, digits and inner hyphens, beginning with a letter
    environments/dev.toml:13 `workers.a1`: `a-1` and `a1` would both be the stack `WorkerA1` [conflict]
        rename one of the two
    ");
    insta::assert_snapshot!(bad(&aws("[workers.default]\nqueue = 'main'\n")), @r"
    environments/dev.toml:7 `workers.default.queue`: no worker set serves `default`, the queue of tasks that name none [conflict]
        remove it, or give that queue to another set
    ");
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
    environments/dev.toml:7 `workers.big.spot_percent`: `spot_percent` without `max` [conflict]
        add `max`: hosts beyond the least may come and go, and Spot takes its share of them
    environments/dev.toml:9 `workers.base.spot_percent`: no host would be Spot: `on_demand_base`, 2, is not below `max`, 2 [conflict]
        lower `on_demand_base`, raise `max`, or remove `spot_percent`
    environments/dev.toml:13 `workers.only.on_demand_base`: `on_demand_base` without `spot_percent` [conflict]
        add `spot_percent`, or remove it
    environments/dev.toml:16 `workers.small.instance_type`: `instance_type` has no effect on a set without hosts of its own [conflict]
        set it below `[hosts.scheduler]` if there is such a key, or remove `on_scheduler`
    environments/dev.toml:17 `workers.small.max`: `max` has no effect on a set without hosts of its own [conflict]
        set it below `[hosts.scheduler]` if there is such a key, or remove `on_scheduler`
    environments/dev.toml:19 `workers.small.rollout`: `rollout` has no effect on a set without hosts of its own [conflict]
        set it below `[hosts.scheduler]` if there is such a key, or remove `on_scheduler`
    environments/dev.toml:19 `workers.small.rollout`: `slow` is no pace of a rollout [invalid_value]
        write `one_at_a_time`, `half_at_a_time` or `all_at_once`
    environments/dev.toml:21 `workers.types.more_instance_types`: `t3.medium` is listed twice [invalid_value]
        remove one of the two
    environments/dev.toml:21 `workers.types.more_instance_types`: `t4g.medium` is arm64, the hosts are x86_64 [conflict]
        choose a type of x86_64, or set `hosts.architecture = "arm64"` for all hosts
    environments/dev.toml:21 `workers.types.more_instance_types`: `t3.medium` is `instance_type` already [conflict]
        remove it from the list
    environments/dev.toml:22 `workers.types.growth_threshold`: `shrink_threshold`, 0.7, is not below `growth_threshold`, 0.5 [conflict]
        lower `shrink_threshold`, or hosts come and go
    environments/dev.toml:23 `workers.types.concurency`: unknown key [unknown_key]
        write `concurrency` if that is what you mean
    "#);
}

#[test]
fn policies_that_leave_the_project() {
    let text = "[hosts.api_server]\npolicies = ['/etc/x.json', '../x.json', 'a/x.json', 'b/x.json']\n\
                [hosts.scheduler]\nmanaged_policies = ['AmazonS3ReadOnlyAccess']\n[workers.default]\npolicies = ['x.yaml']\n\
                [additional]\ntemplates = '../more'\n";
    insta::assert_snapshot!(bad(&aws(text)), @r"
    environments/dev.toml:7 `hosts.api_server.policies`: `/etc/x.json` is absolute [invalid_value]
        write a path relative to the root of the project, like `policies/read-lake.json`
    environments/dev.toml:7 `hosts.api_server.policies`: `../x.json` leaves the project [invalid_value]
        write a path relative to the root of the project, like `policies/read-lake.json`
    environments/dev.toml:7 `hosts.api_server.policies`: `a/x.json` and `b/x.json` would be one policy, as it is named after the file [conflict]
        rename one of the two files
    environments/dev.toml:9 `hosts.scheduler.managed_policies`: `AmazonS3ReadOnlyAccess` is no ARN of a managed policy [invalid_value]
        write it like `arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess`; a document of your own goes into `policies`
    environments/dev.toml:11 `workers.default.policies`: `x.yaml` is no JSON file [invalid_value]
        write a path relative to the root of the project, like `policies/read-lake.json`
    environments/dev.toml:13 `additional.templates`: `../more` leaves the project [invalid_value]
        write the path of a folder relative to the root of the project, like `templates/more`
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
    environments/dev.toml `login.google_client_id`: a required key is missing [missing_key]
        add `google_client_id = "….apps.googleusercontent.com"` below `[login]`, from https://console.cloud.google.com/apis/credentials
    environments/dev.toml `login.google_domain`: a required key is missing [missing_key]
        add `google_domain = "example.com"` below `[login]`: whose people get in
    "#);
    let google = "[login]\nmethod = 'google'\ngoogle_client_id = '1.apps.googleusercontent.com'\ngoogle_domain = 'example.com'\n\
                  default_role = 'viewer'\nadmins = ['a@example.com', 'b@example.org']\n[login.roles]\n'a@example.com' = 'Op'\n'c' = 'Op'\n";
    insta::assert_snapshot!(bad(&aws(google)), @r"
    environments/dev.toml:10 `login.default_role`: `viewer` is no role of Airflow [invalid_value]
        write `Viewer`
    environments/dev.toml:11 `login.admins`: `b@example.org` is not of `example.com`, and only its people get in [invalid_value]
        correct the address, or `google_domain`
    environments/dev.toml:13 `login.roles.a@example.com`: `a@example.com` has two roles [conflict]
        remove one: here, or among `admins`
    environments/dev.toml:14 `login.roles.c`: `c` is no mail address [invalid_value]
        write it like `name@example.com`
    ");
    insta::assert_snapshot!(bad(&aws("[login]\nadmins = ['a@example.com']\ngoogle_domain = 'example.com'\n[mail]\nfrom = 'a@b.example'\n")), @r#"
    environments/dev.toml:7 `login.admins`: `admins` has no effect on logins by password [conflict]
        write `method = "google"`, or remove it
    environments/dev.toml:8 `login.google_domain`: `google_domain` has no effect on logins by password [conflict]
        write `method = "google"`, or remove it
    environments/dev.toml:10 `mail.from`: `from` has no effect without a `host` [conflict]
        add `host`, the name of the mail server, or remove it
    "#);
    insta::assert_snapshot!(bad(&aws("[mail]\nhost = 'https://mail'\nssl = true\nstarttls = true\n")), @r#"
    environments/dev.toml:7 `mail.host`: `https://mail` is no name of DNS [invalid_value]
        write it like `example.com`, without `https://` or `@`
    environments/dev.toml:8 `mail.ssl`: `ssl` and `starttls` exclude each other [conflict]
        write `starttls = false` for a server that encrypts from the first byte, as at port 465
    environments/dev.toml `mail.from`: a required key is missing [missing_key]
        add `from = "airflow@example.com"` below `[mail]`: who mails come from
    "#);
}

#[test]
fn what_hosts_are_told_of_logins_and_mail() {
    let text = "[login]\nmethod = 'google'\ngoogle_client_id = '1.apps.googleusercontent.com'\ngoogle_domain = 'example.com'\n\
                admins = ['Ada@example.com']\nroles.'b@example.com' = 'Op'\n[mail]\nhost = 'smtp.example.com'\nfrom = 'a@b.example'\nssl = true\n";
    let parameters = good(&aws(text)).parameters();
    insta::assert_snapshot!(parameters["LoginConfig"], @r#"{"default_role":"Viewer","google_client_id":"1.apps.googleusercontent.com","google_domain":"example.com","method":"google","roles":{"ada@example.com":"Admin","b@example.com":"Op"},"service_role":"Op"}"#);
    insta::assert_snapshot!(parameters["MailConfig"], @r#"{"from":"a@b.example","host":"smtp.example.com","port":465,"ssl":true,"starttls":false}"#);
    insta::assert_snapshot!(good(&aws("")).parameters()["LoginConfig"], @r#"{"default_role":"Viewer","method":"password","roles":{},"service_role":"Op"}"#);
}

#[test]
fn times_and_the_rest() {
    let text = "[schedule]\nsleep = '0 20 * * *'\ntime_zone = 'CEST'\n[logs]\nservice_retention_days = 31\n[alerts]\nemail = 'x'\n\
                budget_usd = -1\n[github]\nrepository = 'https://github.com/acme/data'\n[additional.parameters]\nLakePassword = 'x'\n\
                [tags]\nteam = 'x'\n";
    insta::assert_snapshot!(bad(&format!("team = 'a*b'\n{}", aws(text))), @r#"
    environments/dev.toml:1 `team`: `a*b` has characters that no tag may have [invalid_value]
        use letters, digits, blanks and `_.:/=+-@` only
    environments/dev.toml:8 `schedule.sleep`: `sleep` without `wake` [conflict]
        add `wake`, or worker hosts never come back
    environments/dev.toml:9 `schedule.time_zone`: `CEST` is no zone of the IANA database [invalid_value]
        write `UTC` or a name like `Europe/Berlin`; https://en.wikipedia.org/wiki/List_of_tz_database_time_zones
    environments/dev.toml:11 `logs.service_retention_days`: CloudWatch keeps no logs for 31 days [invalid_value]
        write 60, the next that it does
    environments/dev.toml:13 `alerts.email`: `x` is no mail address [invalid_value]
        write it like `name@example.com`
    environments/dev.toml:14 `alerts.budget_usd`: `-1` is out of range: 0 to 10000000 dollars [invalid_value]
        write a number from 0 to 10000000
    environments/dev.toml:16 `github.repository`: `https://github.com/acme/data` is no repository of GitHub [invalid_value]
        write `acme/data`
    environments/dev.toml:18 `additional.parameters.LakePassword`: `LakePassword` holds a secret, and this file is no place for one [invalid_value]
        let the template take the ARN of a secret, such as `…SecretArn`, and resolve it
    environments/dev.toml:18 `additional.parameters.LakePassword`: parameters for no template [conflict]
        add `templates = "…"` below `[additional]`, the folder with the templates that take them
    environments/dev.toml:20 `tags.team`: the tag `team` is set by the tool [owned_key]
        write it as `team`, above the first table
    "#);
    insta::assert_snapshot!(bad(&aws("[schedule]\nsleep = '0 20 * * *'\nwake = '0 20 * * *'\n")), @r"
    environments/dev.toml:8 `schedule.wake`: `wake` and `sleep` are the same time [conflict]
        write another time for one of the two
    ");
}

#[test]
fn keys_that_have_moved() {
    insta::assert_snapshot!(bad(&aws("[network]\nallowed_cidr = '10.0.0.0/8'\n[hosts.worker]\nmin = 2\n")), @r#"
    environments/dev.toml:7 `network.allowed_cidr`: moved to `entry.allowed_cidrs` [moved_key]
        write `allowed_cidrs = ["…"]` below a line `[entry]`
    environments/dev.toml:8 `hosts.worker`: moved to `workers.default` [moved_key]
        write `[workers.default]` in its place; the keys are the same
    "#);
}

#[test]
fn a_worker_set_is_complete() {
    let text = "[workers.big-fish]\ninstance_type = 'm7i.large'\nmore_instance_types = ['m6i.large', 'm5.large']\nspot_percent = 80\n\
                on_demand_base = 1\nmax = 8\nconcurrency = 16\nmanaged_policies = ['arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess']\n";
    let sets = good(&aws(text)).worker_sets();
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
    OnScheduler=false
    Queue=big-fish
    SpotPercent=80
    VolumeGiB=30
    WorkerManagedPolicyArns=arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
    WorkerSet=big-fish
    ");
    insta::assert_snapshot!(sets[1].settings().to_string(), @r#"{"prefix":"WorkerDefault","queue":"default","concurrency":4,"on_scheduler":false,"growth_threshold":1.0,"shrink_threshold":0.7,"shrink_after_minutes":10,"min":1,"max":1}"#);
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
fn hosts_without_nat_have_no_address_that_a_balancer_could_know() {
    let entry = "[entry]\nload_balancer = 'internet_facing'\ncertificate_arn = \
                 'arn:aws:acm:eu-central-1:111122223333:certificate/0a'\n";
    good(&aws(&format!("[network]\nnat = 'single'\n{entry}")));
    let told = bad(&aws(&format!("[network]\nnat = 'none'\n{entry}")));
    assert!(told.contains("without NAT") && told.contains("`network.nat`"), "{told}");
}

#[test]
fn secrets_that_only_people_have_are_named() {
    assert!(good(&aws("")).secrets_needed().is_empty());
    let google = "[login]\nmethod = 'google'\ngoogle_client_id = '1-a.apps.googleusercontent.com'\ngoogle_domain = 'example.com'";
    let environment = good(&aws(google));
    assert_eq!(environment.secrets_needed()[0].1, format!("ductwork/{}/login/google", environment.name));
}
