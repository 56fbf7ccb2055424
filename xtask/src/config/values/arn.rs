//! Names of things that exist in AWS already: ARNs, identifiers, zones.

use super::super::problems::Wrong;
use super::{Region, checked_text};

checked_text! {
    /// Of a secret in Secrets Manager.
    SecretArn
}

checked_text! {
    /// Of a certificate in ACM.
    CertificateArn
}

checked_text! {
    /// Of a managed policy, AWS's own or the account's.
    PolicyArn
}

checked_text! {
    /// Of a public or private zone of Route 53.
    HostedZoneId
}

checked_text! {
    /// Name or ARN of a snapshot of RDS.
    Snapshot
}

/// `arn:partition:service:region:account:resource` with the service, region and account as the predicates
/// say and a resource that begins with `resource` and goes on.
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

fn no_arn(text: &str, what: &str, command: &str) -> Wrong {
    Wrong::new(format!("`{text}` is no ARN of {what}"), format!("find it with: aws {command}"))
}

/// Where the thing is, and whether that is `region`.
fn in_region(arn: &str, region: &Region) -> Result<(), Wrong> {
    let at = arn.split(':').nth(3).unwrap_or_default();
    if at == region.as_str() {
        return Ok(());
    }
    let message = format!("is in `{at}`, the environment lives in `{region}`");
    Err(Wrong::new(message, format!("name one in {region}")))
}

impl SecretArn {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if is_arn(text, "secretsmanager", is_region, is_account, "secret:") {
            return Ok(Self(text.to_owned()));
        }
        if text.contains("://") {
            let hint = "put the URL into Secrets Manager and write the ARN that this prints: \
                        aws secretsmanager create-secret --name airflow-database --secret-string file://url.txt";
            return Err(Wrong::new("holds a URL, and this file is no place for one with a password", hint));
        }
        Err(no_arn(text, "a secret", "secretsmanager list-secrets --query SecretList[].ARN"))
    }

    pub fn in_region(&self, region: &Region) -> Result<(), Wrong> {
        in_region(self, region)
    }
}

impl CertificateArn {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if is_arn(text, "acm", is_region, is_account, "certificate/") {
            return Ok(Self(text.to_owned()));
        }
        let command = "acm list-certificates --query CertificateSummaryList[].[CertificateArn,DomainName]";
        Err(no_arn(text, "a certificate", command))
    }

    pub fn in_region(&self, region: &Region) -> Result<(), Wrong> {
        in_region(self, region)
    }
}

impl PolicyArn {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let owner = |owner: &str| owner == "aws" || is_account(owner);
        if is_arn(text, "iam", str::is_empty, owner, "policy/") {
            return Ok(Self(text.to_owned()));
        }
        let hint = "write it like `arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess`; \
                    a document of your own goes into `policies`";
        Err(Wrong::new(format!("`{text}` is no ARN of a managed policy"), hint))
    }
}

impl HostedZoneId {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(id) = text.strip_prefix("/hostedzone/") {
            return Err(Wrong::new(format!("`{text}` is a path"), format!("write `{id}`")));
        }
        let rest = text.strip_prefix('Z').unwrap_or_default();
        if (1..=31).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        {
            return Ok(Self(text.to_owned()));
        }
        let hint = "find it with: aws route53 list-hosted-zones --query HostedZones[].[Id,Name]";
        Err(Wrong::new(format!("`{text}` is no id of a hosted zone, like `Z0123456789ABCDEFGHIJ`"), hint))
    }
}

impl Snapshot {
    /// Names as RDS gives them (automatic ones begin with `rds:`), or the ARN of a shared one.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
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
        let command = "rds describe-db-snapshots --query DBSnapshots[].DBSnapshotIdentifier";
        Err(Wrong::new(format!("`{text}` is no snapshot"), format!("find it with: aws {command}")))
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
    fn things_in_another_region() {
        let certificate = CertificateArn::parse("arn:aws:acm:us-east-1:111122223333:certificate/0a").unwrap();
        assert!(certificate.in_region(&Region::parse("us-east-1").unwrap()).is_ok());
        assert!(certificate.in_region(&Region::parse("eu-west-1").unwrap()).is_err());
    }

    #[test]
    fn zones_and_snapshots() {
        assert!(HostedZoneId::parse("Z0123456789ABCDEFGHIJ").is_ok());
        assert_eq!(HostedZoneId::parse("/hostedzone/Z01").unwrap_err().hint, "write `Z01`");
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
