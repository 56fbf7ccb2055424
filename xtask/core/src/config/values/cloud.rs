//! The cloud that an environment is deployed to: account, region, endpoint.

use super::checked::checked_text;
use super::text::Url;
use crate::config::problems::Refusal;
use crate::config::words::{list, nearest};

checked_text! {
    /// An AWS account ID: twelve digits.
    Account
}

checked_text! {
    /// A region. Only its form is checked: whether it exists and is enabled for the account, AWS knows.
    Region
}

/// Where the AWS API is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS itself.
    Aws,
    /// The local cloud, which this tool starts on this machine.
    Local,
    /// Another service that speaks the AWS API.
    Url(Url),
}

impl Account {
    /// The account of the local cloud.
    pub const LOCAL: &str = "000000000000";

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let hint = if digits.len() == 12 {
            format!("remove everything but the digits: `account = \"{digits}\"`")
        } else {
            "find it: aws sts get-caller-identity --query Account --output text".to_owned()
        };
        Err(Refusal::new(format!("invalid account ID: `{text}` (expected 12 digits)"), hint))
    }

    #[must_use]
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }
}

/// The first parts of all region names, in all partitions.
const AREAS: [&str; 20] = [
    "af",
    "ap",
    "ca",
    "cn",
    "eu",
    "eu-isoe",
    "eusc-de",
    "il",
    "me",
    "mx",
    "nz",
    "sa",
    "us",
    "us-gov",
    "us-iso",
    "us-isob",
    "us-isof",
    "us-iso-ext",
    "us-isob-ext",
    "us-isof-ext",
];
const DIRECTIONS: [&str; 9] =
    ["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];

impl Region {
    /// The region of the local cloud.
    pub const LOCAL: &str = "us-east-1";

    /// Accepts any combination of an area, a direction and a digit that AWS uses: most new regions need no
    /// change here.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let parts = text.rsplit_once('-').and_then(|(front, number)| {
            let (area, direction) = front.rsplit_once('-')?;
            Some((area, direction, number))
        });
        let invalid = format!("invalid region: `{text}`");
        let Some((area, direction, number)) = parts else {
            return Err(Refusal::new(invalid, "use a region name like `eu-central-1`"));
        };
        let zone = |c: char| c.is_ascii_lowercase();
        if number.len() > 1 && number.ends_with(zone) {
            let region = text.trim_end_matches(zone);
            let message = format!("expected a region, found an availability zone: `{text}`");
            return Err(Refusal::new(message, format!("use its region: `{region}`")));
        }
        if number.len() != 1 || !matches!(number.as_bytes(), [b'1'..=b'9']) {
            return Err(Refusal::new(invalid, "use a name that ends in one digit, like `eu-central-1`"));
        }
        let corrected = |word: &str, known: &'static [&'static str]| {
            nearest(word, known).copied().ok_or_else(|| list(known))
        };
        let rest = if AREAS.contains(&area) {
            if DIRECTIONS.contains(&direction) {
                return Ok(Self(text.to_owned()));
            }
            corrected(direction, &DIRECTIONS).map(|near| format!("{area}-{near}-{number}"))
        } else {
            corrected(area, &AREAS).map(|near| format!("{near}-{direction}-{number}"))
        };
        let hint = match rest {
            Ok(near) => format!("use `{near}`"),
            Err(known) => format!("use a name made of parts that AWS uses: {known}"),
        };
        Err(Refusal::new(invalid, hint))
    }

    #[must_use]
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text == "local" {
            return Ok(Self::Local);
        }
        if text.contains("://") {
            return Url::parse(text).map(Self::Url);
        }
        let hint = "use `local` or a URL like `http://127.0.0.1:4566`, or remove the key to use AWS";
        Err(Refusal::new(format!("invalid endpoint: `{text}`"), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_every_partition() {
        for good in [
            "us-east-1",
            "eu-central-2",
            "ap-southeast-7",
            "mx-central-1",
            "us-gov-west-1",
            "cn-northwest-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
            "il-central-1",
        ] {
            assert!(Region::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn invalid_regions_and_their_cures() {
        for (bad, cure) in [
            ("us-est-1", "`us-east-1`"),
            ("eu-centrall-1", "`eu-central-1`"),
            ("ue-west-1", "`eu-west-1`"),
            ("us-east-1a", "`us-east-1`"),
            ("us-east", "`eu-central-1`"),
            ("us-east-0", "one digit"),
            ("frankfurt", "`eu-central-1`"),
            ("", "`eu-central-1`"),
            ("eu-central-1 ", "one digit"),
        ] {
            let refusal = Region::parse(bad).unwrap_err();
            assert!(refusal.hint.contains(cure), "{bad}: {}", refusal.hint);
        }
    }

    #[test]
    fn accounts() {
        assert!(Account::parse("111122223333").is_ok());
        assert!(Account::parse("1111-2222-3333").unwrap_err().hint.contains("\"111122223333\""));
        assert!(Account::parse("11112222333").is_err());
        assert!(Account::parse("11112222333x").is_err());
    }

    #[test]
    fn endpoints() {
        assert_eq!(Endpoint::parse("local"), Ok(Endpoint::Local));
        assert!(matches!(Endpoint::parse("http://127.0.0.1:4566"), Ok(Endpoint::Url(_))));
        assert!(Endpoint::parse("localstack").is_err());
    }
}
