//! Names that the user chooses: project, environment, tags, Airflow options, template parameters; and URLs.

use super::checked::{checked_text, is_slug};
use crate::config::problems::Refusal;

checked_text! {
    /// The first part of the stack name.
    ProjectName
}

checked_text! {
    /// The name of the file in `environments/`, which becomes part of S3 keys and secret names.
    EnvironmentName
}

checked_text! {
    /// An `http` or `https` URL with a host and an optional port and path; no credentials, no trailing slash.
    Url
}

checked_text! {
    /// An Airflow option: `section.option`.
    AirflowKey
}

checked_text! {
    /// A package of the operating system, as dnf knows it.
    Package
}

checked_text! {
    /// An environment variable.
    VariableName
}

/// The most that CloudFormation accepts as the value of a parameter
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
pub const MOST_PARAMETER_BYTES: usize = 4096;

const SLUG_RULES: &str =
    "lower-case letters, digits and hyphens; start with a letter and do not end with a hyphen";

impl ProjectName {
    pub const DEFAULT: &str = "ductwork";

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_slug(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Refusal::new(format!("invalid project name: `{text}`"), format!("use {SLUG_RULES}")))
    }
}

impl Default for ProjectName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl EnvironmentName {
    /// The limit of the template parameter `EnvironmentName`.
    pub const LONGEST: usize = 20;

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let length = text.chars().count();
        if length > Self::LONGEST {
            let message = format!(
                "environment name `{text}` is too long: {length} characters, the limit is {}",
                Self::LONGEST
            );
            return Err(Refusal::new(
                message,
                "give the file a shorter name; it becomes part of AWS resource names",
            ));
        }
        if is_slug(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Refusal::new(
            format!("invalid environment name: `{text}`"),
            format!("rename the file: use {SLUG_RULES}"),
        ))
    }
}

impl Package {
    /// The limit of the template parameter `HostPackages`, whose forty names fit into one parameter.
    const LONGEST: usize = 100;

    /// A name, or a name with version and architecture: no option, path, URL or group of packages.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts && text.chars().all(plain) && text.len() <= Self::LONGEST {
            return Ok(Self(text.to_owned()));
        }
        Err(Refusal::new(
            format!("invalid package name: `{text}`"),
            "use the name of a package such as `graphviz`; whatever else a host needs belongs in \
             `airflow/host/startup.sh`",
        ))
    }
}

impl Url {
    /// Accepts what the template parameter `AirflowUrl` accepts: no IPv6 address, no escapes in the path.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "use a URL like `https://airflow.example.com` or `http://127.0.0.1:8080`";
        let invalid = |why: &str| Err(Refusal::new(format!("invalid URL: `{text}` ({why})"), hint));
        let plain = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return invalid("it must start with `http://` or `https://`");
        };
        let mut parts = rest.trim_end_matches('/').split('/');
        let authority = parts.next().unwrap_or_default();
        if authority.contains('@') {
            let message = "the URL contains a user name or password";
            return Err(Refusal::new(message, "remove everything between `://` and `@`, and the `@`"));
        }
        let (host, port) = authority.rsplit_once(':').map_or((authority, "1"), |(host, port)| (host, port));
        if !plain(host, ".-") {
            return invalid("it has no valid host name");
        }
        if !plain(port, "") || !matches!(port.parse::<u16>(), Ok(1..)) {
            return invalid("the port must be between 1 and 65535");
        }
        if !parts.all(|part| plain(part, "._~-")) {
            return invalid("the path may only contain letters, digits, `._~-` and single slashes");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    #[must_use]
    pub fn host(&self) -> &str {
        self.authority().rsplit_once(':').map_or(self.authority(), |(host, _)| host)
    }

    /// Whether it names an IP address instead of a host.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host().parse::<std::net::Ipv4Addr>().is_ok()
    }

    /// The port, if the URL names one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.authority().rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    }

    fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// The address of Airflow on this machine.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self(format!("http://127.0.0.1:{port}"))
    }
}

impl AirflowKey {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('.') {
            Some((section, option)) if name(section) && name(option) => Ok(Self(text.to_owned())),
            _ => Err(Refusal::new(
                format!("invalid Airflow option: `{text}`"),
                "write section and option in lower case, separated by a dot: `\"core.parallelism\" = \"32\"`",
            )),
        }
    }

    /// The part after the dot.
    #[must_use]
    pub fn option(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, option)| option)
    }
}

impl VariableName {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let valid =
            text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit());
        if valid {
            return Ok(Self(text.to_owned()));
        }
        let hint = "use letters, digits and underscores, and do not start with a digit: `LAKE_BUCKET`";
        Err(Refusal::new(format!("invalid name of an environment variable: `{text}`"), hint))
    }
}

/// Checks a parameter of the user's additional templates.
pub fn parameter(name: &str, value: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > 255 || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let message = format!("invalid parameter name: `{name}`");
        return Err(Refusal::new(message, "use the name that the template declares: letters and digits"));
    }
    if ["Password", "Secret", "Token", "ApiKey", "PrivateKey"].iter().any(|end| name.ends_with(end)) {
        let message = format!("`{name}` appears to contain a secret; secrets do not belong in this file");
        let hint = "store the value in Secrets Manager, and give the template the ARN of the secret in a \
                    parameter such as `LakeSecretArn`";
        return Err(Refusal::new(message, hint));
    }
    if value.len() > MOST_PARAMETER_BYTES {
        let message =
            format!("value is too long: CloudFormation accepts at most {MOST_PARAMETER_BYTES} bytes");
        return Err(Refusal::new(message, "shorten the value"));
    }
    Ok(())
}

/// Checks a tag against the rules that every AWS service accepts
/// (<https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html>).
pub fn tag(key: &str, value: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let characters = "use only letters, digits, spaces and `_.:/=+-@`";
    if key.is_empty() || key.chars().count() > 128 {
        return Err(Refusal::new("a tag key must have 1 to 128 characters", "change the key"));
    }
    if value.chars().count() > 256 {
        return Err(Refusal::new("a tag value must have at most 256 characters", "shorten the value"));
    }
    if !key.chars().all(allowed) {
        return Err(Refusal::new("the tag key contains characters that AWS does not allow", characters));
    }
    if !value.chars().all(allowed) {
        let message = format!("the tag value contains characters that AWS does not allow: `{value}`");
        return Err(Refusal::new(message, characters));
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(Refusal::new(
            "tag keys that start with `aws:` are reserved for AWS",
            "choose another key",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["dev", "a", "eu-prod-2", "abcdefghijklmnopqrst"] {
            assert!(EnvironmentName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Dev", "1st", "dev-", "../dev", "dev.toml", "döv", "abcdefghijklmnopqrstu"] {
            assert!(EnvironmentName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls() {
        for good in ["http://127.0.0.1:8080", "https://a.example/x/y_z/", "http://a"] {
            assert!(Url::parse(good).is_ok(), "{good}");
        }
        assert_eq!(Url::parse("https://a.example/x/").unwrap().as_str(), "https://a.example/x");
        for bad in [
            "a.example",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:+1",
            "http://a b",
            "http://a?x",
            "http://a//b",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert!(!Url::parse("https://u:hunter2@a").unwrap_err().message.contains("hunter2"));
    }

    #[test]
    fn parts_of_a_url() {
        let url = Url::parse("https://a.example:8443/x").unwrap();
        assert_eq!((url.is_https(), url.host(), url.port()), (true, "a.example", Some(8443)));
        let url = Url::parse("http://127.0.0.1").unwrap();
        assert_eq!((url.is_https(), url.host(), url.port()), (false, "127.0.0.1", None));
    }

    #[test]
    fn parameters() {
        assert!(parameter("LakeBucket", "x").is_ok());
        for bad in ["", "lake-bucket", "LakePassword"] {
            assert!(parameter(bad, "x").is_err(), "{bad}");
        }
        assert!(parameter("A", &"x".repeat(4097)).is_err());
    }

    #[test]
    fn options_of_airflow() {
        for good in ["core.parallelism", "aws.endpointwatch_task_handler", "celery.x_2"] {
            assert!(AirflowKey::parse(good).is_ok(), "{good}");
        }
        for bad in ["parallelism", "core.", ".x", "core.a.b", "AIRFLOW__CORE__X", "core.A", "core-x.a"] {
            assert!(AirflowKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags() {
        assert!(tag("cost centre", "4711 / data+ml@example.com").is_ok());
        for (key, value) in [("", "x"), ("aws:x", "y"), ("a", "b,c"), ("a*", "b")] {
            assert!(tag(key, value).is_err(), "{key}={value}");
        }
        assert!(tag(&"k".repeat(129), "").is_err());
        assert!(tag("k", &"v".repeat(257)).is_err());
    }
}
