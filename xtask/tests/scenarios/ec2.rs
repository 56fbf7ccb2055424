//! Environments of hosts, from the smallest to everything and back.

use super::{Stage, announce, back, destroyed, everything, highly_available, no_longer_protected, smallest};
use crate::cloud::{Cloud, text};
use crate::engines::EC2;
use crate::environments::{self, as_shipped, second};
use crate::support::free_ports;
use crate::{all, drains, entry, hosts, lease, network, stores};

#[test]
fn from_the_smallest_to_everything_and_back() {
    let stage = Stage::new(&EC2);
    let first = smallest(&stage);
    hosts::agents(&stage.project, &stage.made(), false);
    drains::longer_than_a_hook(&stage);
    let sleeper = lease::falls_asleep(&stage, &EC2.highly_available());
    highly_available(&stage);
    no_longer_protected(&stage);
    lease::wakes_up(&stage, sleeper);
    everything(&stage);
    what_cannot_be_previewed(&stage);
    // Workers run behind a NAT gateway that would go.
    back(&stage, &first, Some("2 hosts of the worker set `default`"));
    beside_it_in_an_existing_network(&stage);
    as_shipped_for_aws(&stage);
    stage.project.run(&["destroy", "--env", "second", "--yes"]).expect(0);
    destroyed(&stage);
    let second = stage.existing.database_url.as_str();
    super::the_deploy_role_suffices(&stage, &[("local", ""), ("second", second), ("dev", "")]);
}

/// A template of the user's own selects from a list of another stack. CloudFormation cannot evaluate that before
/// it runs, and the deployment goes without looking into nested stacks.
fn what_cannot_be_previewed(stage: &Stage) {
    announce("a template that nobody can look into beforehand");
    let project = &stage.project;
    project.write("additional/note.yaml", environments::SELECTING);
    let plan = project.run(&["plan", "--env", "local", "--format", "json"]).expect(0).json();
    let why = text(&plan["stack"]["unseen"]);
    assert!(why.contains("Fn::Select cannot select nonexistent value at index 1"), "{why}");
    assert_eq!(project.deploy()["outcome"], "deployed");
    let made = stage.made();
    let note = text(&made.get("parameters", "/scenarios/note")["Value"]);
    assert_eq!(note, made.output("SubnetId2"));
}

/// Another environment in a network that was there: MySQL and HTTPS by both ways to a certificate, then a
/// database that was there. What is named `https://…` cannot be reached from here, so those two
/// deployments end after the stack.
fn beside_it_in_an_existing_network(stage: &Stage) {
    announce("existing network, MySQL, requested certificate");
    let (project, existing) = (&stage.project, &stage.existing);
    let before = Cloud::look(project);
    let port = free_ports();
    let secure = format!("url = \"https://airflow.example.com\"\nport = {port}");
    let entry = |certificate: &str| {
        let zone = &existing.zone;
        format!(
            "\n[entry]\nload_balancer = \"internet_facing\"\nhosted_zone_id = \"{zone}\"\n{certificate}\n\
             [database]\nengine = \"mysql\"\nversion = \"8.4\"\n"
        )
    };
    let stack_only = |text: &str| {
        project.write("environments/second.toml", text);
        let run =
            project.run_with(&["deploy", "--env", "second", "--yes"], &[("DUCTWORK_STOP_AFTER", "stack")]);
        assert_eq!(run.code, None, "{}", run.stderr);
        Cloud::look(project).since(&before)
    };
    let made = stack_only(&second(existing, &secure, &entry("")));
    all!(network::existing(&made, &existing.private), stores::mysql(&made),);
    let public = existing.public.iter().map(String::as_str).collect();
    let balancer = entry::balancer(&made, "internet-facing", &public, port);
    entry::encrypted(balancer, text(&made.only("certificates")["CertificateArn"]));
    let zone = Cloud::look(project);
    entry::named(&made, zone.get("zones", &format!("/hostedzone/{}", existing.zone)), balancer);

    announce("existing certificate");
    let certificate = format!("certificate_arn = \"{}\"\n", existing.certificate);
    let made = stack_only(&second(existing, &secure, &entry(&certificate)));
    entry::encrypted(made.only("balancers"), &existing.certificate);
    made.none(&["certificates"]);

    announce("existing database");
    let url = &existing.database_url;
    let database = format!("\n[database]\nengine = \"existing\"\nurl_secret = \"{url}\"\n");
    project.write("environments/second.toml", &second(existing, &format!("port = {port}"), &database));
    let result = project.run(&["deploy", "--env", "second", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!(result["outcome"], "deployed");
    let made = Cloud::look(project).since(&before);
    all!(
        network::existing(&made, &existing.private),
        stores::existing_database(&made, url),
        made.none(&["balancers", "target_groups"]),
    );
}

/// What a team begins with on AWS: `dev.toml` has no load balancer, and yet Airflow can be reached. Nobody
/// answers at that address here, so the deployment ends after the stack.
fn as_shipped_for_aws(stage: &Stage) {
    announce("dev.toml as it is shipped");
    let project = &stage.project;
    let before = Cloud::look(project);
    project.write("environments/dev.toml", &as_shipped(project));
    let endpoint = project.endpoint();
    let env = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("DUCTWORK_STOP_AFTER", "stack"),
    ];
    let run = project.run_with(&["deploy", "--env", "dev", "--yes"], &env);
    assert_eq!(run.code, None, "{}", run.stderr);
    let made = Cloud::look(project).since(&before);
    all!(
        network::is_reached_at_its_address(&made, "203.0.113.7/32", 8080),
        made.none(&["balancers", "nat_gateways"]),
        assert_eq!(made.count("groups"), 2),
    );
    let env = &env[..3];
    project.run_with(&["destroy", "--env", "dev", "--yes"], env).expect(0);
}
