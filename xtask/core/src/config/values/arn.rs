//! Names of resources that already exist in AWS: ARNs, hosted zones, snapshots.

use super::checked::checked_text;
use super::cloud::Region;
use crate::config::problems::Refusal;

checked_text! {
    /// ARN of a secret in Secrets Manager.
    SecretArn
}

checked_text! {
    /// ARN of a certificate in ACM.
    CertificateArn
}

checked_text! {
    /// ARN of a managed policy, from AWS or from the account.
    PolicyArn
}

checked_text! {
    /// ID of a public or private hosted zone in Route 53.
    HostedZoneId
}

checked_text! {
    /// Name or ARN of an RDS snapshot.
    Snapshot
}

/// Whether `text` is `arn:partition:service:region:account:resource`: for this service, with a region and
/// an account that satisfy the predicates, and a resource that is longer than its prefix `resource`.
fn is_arn(
    text: &str,
    service: &str,
    region: impl Fn(&str) -> bool,
    account: impl Fn(&str) -> bool,
    resource: &str,
) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let &["arn", partition, of, at, owner, what] = parts.as_slice() else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/+=.@,:".contains(c);
    partition.starts_with("aws")
        && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        && of == service
        && region(at)
        && account(owner)
        && what.strip_prefix(resource).is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    Region::parse(text).is_ok()
}

fn invalid(text: &str, what: &str, command: &str) -> Refusal {
    Refusal::new(format!("invalid ARN of a {what}: `{text}`"), format!("find it: aws {command}"))
}

/// Refuses a resource of another region.
fn in_region(arn: &str, what: &str, region: &Region) -> Result<(), Refusal> {
    let actual = arn.split(':').nth(3).unwrap_or_default();
    if actual == region.as_str() {
        return Ok(());
    }
    let message = format!("the {what} is in `{actual}`, but the environment is in `{region}`");
    Err(Refusal::new(message, format!("use a {what} in `{region}`")))
}

impl SecretArn {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_arn(text, "secretsmanager", is_region, is_account, "secret:") {
            return Ok(Self(text.to_owned()));
        }
        if text.contains("://") {
            let hint = "store the URL in Secrets Manager and use the ARN that this prints: \
                        aws secretsmanager create-secret --name airflow-database \
                        --secret-string file://url.txt --query ARN --output text";
            let message = "expected the ARN of a secret, found a URL; a URL may contain a password, \
                           and secrets do not belong in this file";
            return Err(Refusal::new(message, hint));
        }
        Err(invalid(text, "secret", "secretsmanager list-secrets --query 'SecretList[].ARN'"))
    }

    pub fn in_region(&self, region: &Region) -> Result<(), Refusal> {
        in_region(self, "secret", region)
    }
}

impl CertificateArn {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_arn(text, "acm", is_region, is_account, "certificate/") {
            return Ok(Self(text.to_owned()));
        }
        let command = "acm list-certificates --query 'CertificateSummaryList[].[CertificateArn,DomainName]'";
        Err(invalid(text, "certificate", command))
    }

    pub fn in_region(&self, region: &Region) -> Result<(), Refusal> {
        in_region(self, "certificate", region)
    }
}

impl PolicyArn {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let owner = |owner: &str| owner == "aws" || is_account(owner);
        if is_arn(text, "iam", str::is_empty, owner, "policy/") {
            return Ok(Self(text.to_owned()));
        }
        let hint = "use an ARN like `arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess`; \
                    list policy documents of this project under `policies`";
        Err(Refusal::new(format!("invalid ARN of a managed policy: `{text}`"), hint))
    }
}

impl HostedZoneId {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(id) = text.strip_prefix("/hostedzone/") {
            let message = format!("expected the ID of a hosted zone, found a path: `{text}`");
            return Err(Refusal::new(message, format!("use `{id}`")));
        }
        let rest = text.strip_prefix('Z').unwrap_or_default();
        if (1..=31).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        {
            return Ok(Self(text.to_owned()));
        }
        let hint = "find it: aws route53 list-hosted-zones --query 'HostedZones[].[Id,Name]'";
        Err(Refusal::new(format!("invalid hosted zone ID: `{text}`"), hint))
    }
}

impl Snapshot {
    /// Accepts names by the rules of RDS (those of automatic snapshots start with `rds:`) and ARNs.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let name = text.strip_prefix("rds:").unwrap_or(text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let named = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && name.bytes().all(plain)
            && !name.ends_with('-')
            && !name.contains("--");
        let shared = is_arn(text, "rds", is_region, is_account, "snapshot:")
            || is_arn(text, "rds", is_region, is_account, "cluster-snapshot:");
        if text.len() <= 255 && (named || shared) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "find it: aws rds describe-db-snapshots --query 'DBSnapshots[].DBSnapshotIdentifier'";
        Err(Refusal::new(format!("invalid snapshot name or ARN: `{text}`"), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        for good in [
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:airflow/database-AbCdEf",
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:x",
        ] {
            assert!(SecretArn::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "airflow/database",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:",
            "arn:aws:secretsmanager::111122223333:secret:x",
            "arn:aws:ssm:eu-central-1:111122223333:secret:x",
            "arn:aws:secretsmanager:eu-central-1:1111:secret:x",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:x y",
        ] {
            assert!(SecretArn::parse(bad).is_err(), "{bad}");
        }
        assert!(!SecretArn::parse("postgresql://u:hunter2@h/d").unwrap_err().message.contains("hunter2"));
        assert!(CertificateArn::parse("arn:aws:acm:eu-central-1:111122223333:certificate/0a-1b").is_ok());
        assert!(CertificateArn::parse("arn:aws:iam::111122223333:server-certificate/x").is_err());
        for good in
            ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "arn:aws:iam::111122223333:policy/data/Read"]
        {
            assert!(PolicyArn::parse(good).is_ok(), "{good}");
        }
        assert!(PolicyArn::parse("AmazonS3ReadOnlyAccess").is_err());
        assert!(PolicyArn::parse("arn:aws:iam::aws:role/x").is_err());
    }

    #[test]
    fn resources_of_another_region() {
        let certificate = CertificateArn::parse("arn:aws:acm:us-east-1:111122223333:certificate/0a").unwrap();
        assert!(certificate.in_region(&Region::parse("us-east-1").unwrap()).is_ok());
        assert!(certificate.in_region(&Region::parse("eu-west-1").unwrap()).is_err());
    }

    #[test]
    fn zones_and_snapshots() {
        assert!(HostedZoneId::parse("Z0123456789ABCDEFGHIJ").is_ok());
        assert_eq!(HostedZoneId::parse("/hostedzone/Z01").unwrap_err().hint, "use `Z01`");
        assert!(HostedZoneId::parse("example.com").is_err());
        for good in [
            "before-upgrade",
            "rds:airflow-2026-01-01-00-05",
            "arn:aws:rds:eu-west-1:111122223333:cluster-snapshot:x",
        ] {
            assert!(Snapshot::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1st", "a--b", "a-", "a_b"] {
            assert!(Snapshot::parse(bad).is_err(), "{bad}");
        }
    }
}
