//! Names that the user chooses: of the project, the environment, a tag, an option of Airflow; and URLs.

use super::super::problems::Wrong;
use super::{checked_text, is_slug};

checked_text! {
    /// The first part of the stack's name.
    ProjectName
}

checked_text! {
    /// The name of the file in `environments/`, and with it part of S3 keys and names of secrets.
    EnvironmentName
}

checked_text! {
    /// `http` or `https`, a host, perhaps a port and a path; no credentials, no slash at the end.
    Url
}

checked_text! {
    /// `section.option` of Airflow's configuration, as `airflow config get-value` takes them apart.
    AirflowKey
}

impl ProjectName {
    pub const DEFAULT: &str = "ductwork";

    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if is_slug(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(
            format!("`{text}` is no name for a project"),
            "use lower-case letters, digits and inner hyphens, beginning with a letter",
        ))
    }
}

impl Default for ProjectName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl EnvironmentName {
    /// What the templates accept as `EnvironmentName`.
    pub const LONGEST: usize = 20;

    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let length = text.chars().count();
        if length > Self::LONGEST {
            return Err(Wrong::new(
                format!(
                    "`{text}` is too long for an environment: {length} characters, {} at most",
                    Self::LONGEST
                ),
                "give the file a shorter name: names of AWS resources are made of it",
            ));
        }
        if is_slug(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(
            format!("`{text}` is no name for an environment"),
            "name the file in lower-case letters, digits and inner hyphens, beginning with a letter",
        ))
    }
}

impl Url {
    /// What the templates accept as `AirflowUrl`: no IPv6 address, no escapes in the path.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let hint = "write it like `https://airflow.example.com` or `http://127.0.0.1:8080`";
        let wrong = |why: &str| Err(Wrong::new(format!("`{text}` is no web address: {why}"), hint));
        let plain = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return wrong("it does not begin with `http://` or `https://`");
        };
        let mut parts = rest.trim_end_matches('/').split('/');
        let authority = parts.next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Wrong::new("holds a user name or password", "leave out everything up to the `@`"));
        }
        let (host, port) = authority.rsplit_once(':').map_or((authority, "1"), |(host, port)| (host, port));
        if !plain(host, ".-") {
            return wrong("it names no host");
        }
        if !plain(port, "") || !matches!(port.parse::<u16>(), Ok(1..)) {
            return wrong("its port is not 1 to 65535");
        }
        if !parts.all(|part| plain(part, "._~-")) {
            return wrong("its path has more than letters, digits and `._~-` between single slashes");
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

    /// The one it names, if it does.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.authority().rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    }

    fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Airflow on this machine.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self(format!("http://127.0.0.1:{port}"))
    }
}

impl AirflowKey {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('.') {
            Some((section, option)) if name(section) && name(option) => Ok(Self(text.to_owned())),
            _ => Err(Wrong::new(
                format!("`{text}` is no option of Airflow"),
                "write section and option in lower case with one dot between, like `\"core.parallelism\" = \"32\"`",
            )),
        }
    }

    /// The part behind the dot.
    #[must_use]
    pub fn option(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, option)| option)
    }
}

/// Checks a parameter of the user's own, for a template that is not the tool's.
pub fn parameter(name: &str, value: &str) -> Result<(), Wrong> {
    if name.is_empty() || name.len() > 255 || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let message = format!("`{name}` is no name of a parameter");
        return Err(Wrong::new(message, "use letters and digits, as the template declares it"));
    }
    if ["Password", "Secret", "Token", "ApiKey", "PrivateKey"].iter().any(|end| name.ends_with(end)) {
        let message = format!("`{name}` holds a secret, and this file is no place for one");
        let hint = "let the template take the ARN of a secret, such as `…SecretArn`, and resolve it";
        return Err(Wrong::new(message, hint));
    }
    if value.len() > 4096 {
        return Err(Wrong::new("too long: CloudFormation takes 4096 bytes at most", "shorten the value"));
    }
    Ok(())
}

/// Checks a tag against the rules that hold for every service
/// (<https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html>).
pub fn tag(key: &str, value: &str) -> Result<(), Wrong> {
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let characters = "use letters, digits, blanks and `_.:/=+-@` only";
    if key.is_empty() || key.chars().count() > 128 {
        return Err(Wrong::new("the key of a tag must have 1 to 128 characters", "shorten the key"));
    }
    if value.chars().count() > 256 {
        return Err(Wrong::new("the value of a tag may have 256 characters", "shorten the value"));
    }
    if !key.chars().all(allowed) {
        return Err(Wrong::new("the key has characters that no tag may have", characters));
    }
    if !value.chars().all(allowed) {
        return Err(Wrong::new(format!("`{value}` has characters that no tag may have"), characters));
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(Wrong::new("tags that begin with `aws:` belong to AWS", "choose another key"));
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
