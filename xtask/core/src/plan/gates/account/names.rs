//! What is there under a name: certificate, hosted zone, secrets, the image of the hosts.

use super::super::secrets::problem;
use super::{About, Judged};
use crate::fail::Problem;
use crate::model::account::{Certificate, Demands, HostedZone, ImageDemand, NeededSecret};

pub(super) fn certificate(about: &About, found: Option<&Certificate>) -> Judged {
    let demands = &about.account.demands;
    let (arn, region) = (demands.certificate.as_deref().unwrap_or_default(), &demands.region);
    let problem = |message: String, hint: String| {
        Judged::Missing(vec![about.problem("certificate", &["entry.certificate_arn"], message, hint)])
    };
    let list = format!("find another one: aws acm list-certificates --region {region}");
    let Some(found) = found else { return problem(format!("there is no certificate `{arn}`"), list) };
    if found.status != "ISSUED" {
        let message = format!("the certificate is not issued: {}", found.status);
        let see = format!("aws acm describe-certificate --certificate-arn {arn} --region {region}");
        return problem(
            message,
            format!("complete its validation, or request a new one; see its state: {see}"),
        );
    }
    match &demands.host {
        Some(host) if !found.names.iter().any(|name| covers(name, host)) => {
            let message = format!("the certificate is for {}, not for `{host}`", found.names.join(", "));
            problem(message, list)
        }
        _ => Judged::Ok(format!("issued for {}", found.names.join(", "))),
    }
}

/// `*` stands for exactly one label.
fn covers(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_lowercase(), host.to_lowercase());
    match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => name == host,
    }
}

pub(super) fn hosted_zone(about: &About, found: Option<&HostedZone>) -> Judged {
    let demands = &about.account.demands;
    let id = demands.hosted_zone.as_deref().unwrap_or_default();
    let problem = |message: String, hint: &str| {
        let hint = format!("{hint}: aws route53 list-hosted-zones");
        Judged::Missing(vec![about.problem("hosted_zone", &["entry.hosted_zone_id"], message, hint)])
    };
    let Some(HostedZone { name, private }) = found else {
        return problem(format!("there is no hosted zone `{id}`"), "find its ID");
    };
    let host = demands.host.as_deref().unwrap_or_default().to_lowercase();
    if !host.is_empty() && host != *name && !host.ends_with(&format!(".{name}")) {
        let message = format!("`{id}` is the hosted zone of `{name}`, to which `{host}` does not belong");
        return problem(message, "use the zone of the domain in `airflow.url`");
    }
    if *private && demands.requests_certificate {
        let message = format!("`{id}` is a private zone, in which ACM cannot validate a certificate");
        return problem(message, "set `certificate_arn`, or use a public zone");
    }
    Judged::Ok(name.clone())
}

pub(super) fn secrets(needed: &[NeededSecret]) -> Judged {
    let problems = needed.iter().filter_map(problem).collect();
    let ids: Vec<&str> = needed.iter().map(|secret| secret.id.as_str()).collect();
    Judged::of(ids.join(", "), problems)
}

pub(super) fn image(about: &About, found: bool) -> Judged {
    let Demands { image, region, .. } = &about.account.demands;
    match image {
        Some(image) if !found => Judged::Missing(vec![no_image(about.file, image, region)]),
        _ => Judged::Ok(image.as_ref().map(|image| image.name.clone()).unwrap_or_default()),
    }
}

/// There is no such image, or no parameter that holds it.
#[must_use]
pub fn no_image(file: &str, image: &ImageDemand, region: &str) -> Problem {
    let ImageDemand { key, name } = image;
    let (what, list) = if image.is_id() {
        ("image", "aws ec2 describe-images --owners self")
    } else {
        ("parameter", "aws ssm describe-parameters")
    };
    let message = format!("there is no {what} `{name}` in {region}");
    let hint = format!("use another one; list yours: {list} --region {region}");
    Problem::new("image", format!("{file} `{key}`"), message, hint)
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::super::{Finding, Outcome, findings};
    use super::*;
    use crate::model::account::{Account, SecretState};

    fn told(account: &Account) -> String {
        let found: Vec<Finding> = findings("f", account).into_iter().skip(3).collect();
        match (found[0].outcome, found[0].problems.first()) {
            (Outcome::Missing, Some(problem)) => format!("{}: {}", problem.location, problem.message),
            _ => found[0].text.clone(),
        }
    }

    fn with_certificate(status: &str, name: &str) -> String {
        let found = Certificate { status: status.to_owned(), names: vec![name.to_owned()] };
        let mut account = Account { certificate: Some(Ok(Some(found))), ..healthy() };
        account.demands.host = Some("airflow.example.com".to_owned());
        told(&account)
    }

    #[test]
    fn a_certificate_is_issued_and_names_the_host() {
        assert_eq!(with_certificate("ISSUED", "*.example.com"), "issued for *.example.com");
        let pending = with_certificate("PENDING_VALIDATION", "*.example.com");
        assert_eq!(pending, "f `entry.certificate_arn`: the certificate is not issued: PENDING_VALIDATION");
        for other in ["example.com", "*.com", "*.airflow.example.com"] {
            assert!(with_certificate("ISSUED", other).ends_with("not for `airflow.example.com`"), "{other}");
        }
    }

    #[test]
    fn a_hosted_zone_holds_the_host() {
        let zone = |name: &str, private| {
            let found = HostedZone { name: name.to_owned(), private };
            let mut account = Account { hosted_zone: Some(Ok(Some(found))), ..healthy() };
            account.demands.host = Some("Airflow.example.com".to_owned());
            account.demands.hosted_zone = Some("Z1".to_owned());
            account.demands.requests_certificate = true;
            told(&account)
        };
        assert_eq!(zone("example.com", false), "example.com");
        assert!(zone("ample.com", false).contains("of `ample.com`, to which `airflow.example.com`"));
        assert!(zone("example.com", true).contains("private zone"));
        let none = Account { hosted_zone: Some(Ok(None)), ..healthy() };
        assert!(told(&none).starts_with("f `entry.hosted_zone_id`: there is no hosted zone"));
    }

    #[test]
    fn a_secret_and_an_image_that_are_not_there() {
        let secret = NeededSecret {
            location: "f `login.google`".to_owned(),
            id: "a/b".to_owned(),
            state: SecretState::Missing,
        };
        let account = Account { secrets: Some(Ok(vec![secret])), ..healthy() };
        assert_eq!(told(&account), "f `login.google`: needs the secret `a/b`, which does not exist");
        let mut account = Account { image: Some(Ok(false)), ..healthy() };
        account.demands.image = Some(ImageDemand { key: "hosts.image", name: "ami-1".to_owned() });
        assert_eq!(told(&account), "f `hosts.image`: there is no image `ami-1` in eu-central-1");
    }
}
