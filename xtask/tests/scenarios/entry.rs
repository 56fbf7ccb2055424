//! The way in: load balancer, certificate, names, firewall, logins; and the way out, mail.

use crate::cloud::{Cloud, has, ids, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[track_caller]
fn listener(balancer: &Value, port: u16) -> &Value {
    let listeners = balancer["Listeners"].as_array().unwrap();
    listeners.iter().find(|one| one["Port"] == port).unwrap_or_else(|| panic!("no {port} in {balancer:#}"))
}

/// A load balancer of HTTP before the api-server hosts, in these subnets.
pub fn balancer<'a>(cloud: &'a Cloud, scheme: &str, subnets: &BTreeSet<&str>, port: u16) -> &'a Value {
    let balancer = cloud.only("balancers");
    has(balancer, &json!({ "Scheme": scheme, "Type": "application" }));
    let zones = &balancer["AvailabilityZones"];
    assert_eq!(&ids(zones, "SubnetId"), subnets);
    has(&balancer["Attributes"], &json!({ "routing.http.drop_invalid_header_fields.enabled": "true" }));
    let target = cloud.only("target_groups");
    let expected = json!({
        "Port": port, "HealthCheckPath": "/ductwork/health", "Matcher": { "HttpCode": "200" },
        "Attributes": { "deregistration_delay.timeout_seconds": "60" },
    });
    has(target, &expected);
    balancer
}

/// HTTP alone: for networks of one's own.
pub fn plain(balancer: &Value) {
    let listeners = balancer["Listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 1);
    has(listener(balancer, 80), &json!({ "Protocol": "HTTP", "DefaultActions": [{ "Type": "forward" }] }));
}

/// HTTPS with this certificate, and HTTP only to send people there.
pub fn encrypted(balancer: &Value, certificate: &str) {
    let secure = listener(balancer, 443);
    let expected = json!({
        "Protocol": "HTTPS", "Certificates": [{ "CertificateArn": certificate }],
        "DefaultActions": [{ "Type": "forward" }],
    });
    has(secure, &expected);
    let policy = text(&secure["SslPolicy"]);
    assert!(policy.contains("TLS13-1-2"), "{policy}");
    let redirect = json!({ "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301" });
    let action = json!([{ "Type": "redirect", "RedirectConfig": redirect }]);
    has(listener(balancer, 80), &json!({ "Protocol": "HTTP", "DefaultActions": action }));
}

/// The name of the URL leads to the balancer.
pub fn named(cloud: &Cloud, zone: &Value, balancer: &Value) {
    let records = zone["Records"].as_array().unwrap();
    let record = records.iter().find(|r| r["Name"] == "airflow.example.com." && r["Type"] == "A");
    let target = text(&record.expect("a record")["AliasTarget"]["DNSName"]).to_lowercase();
    let name = text(&balancer["DNSName"]).to_lowercase();
    assert!(target.trim_end_matches('.').ends_with(&name), "{target} is not {name}");
    assert_eq!(cloud.master("second")["Outputs"]["LoadBalancerDnsName"], balancer["DNSName"]);
}

pub fn access_logs(balancer: &Value) {
    has(&balancer["Attributes"], &json!({ "access_logs.s3.enabled": "true" }));
}

pub fn firewall(cloud: &Cloud, balancer: &Value) {
    has(cloud.only("firewalls"), &json!({ "Guarded": [balancer["LoadBalancerArn"]] }));
}

/// People log in with Google: components are told how, and find the secret themselves.
pub fn google(cloud: &Cloud) {
    let told = text(&cloud.master("local")["Parameters"]["LoginConfig"]);
    let told: Value = serde_json::from_str(told).unwrap();
    let expected = json!({
        "method": "google", "google_client_id": "1234.apps.googleusercontent.com", "google_domain": "example.com",
        "default_role": "Viewer", "roles": { "ada@example.com": "Admin", "bob@example.com": "Op" },
    });
    has(&told, &expected);
    assert!(!cloud.master("local").to_string().contains("client-secret"), "no secret in the stack");
    assert!(cloud.rights("ApiServer").contains("ductwork/local/login/"));
    assert!(!cloud.rights("WorkerDefault").contains("ductwork/local/login/"));
}

pub fn mail(cloud: &Cloud) {
    let told: Value = serde_json::from_str(text(&cloud.master("local")["Parameters"]["MailConfig"])).unwrap();
    let expected = json!({ "host": "mail.example.com", "port": 587, "starttls": true, "ssl": false,
        "from": "airflow@example.com" });
    has(&told, &expected);
}
