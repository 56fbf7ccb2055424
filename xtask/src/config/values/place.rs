//! Where an environment lives: the account, the region, and which cloud answers.

use super::super::document::{list, nearest};
use super::super::problems::Wrong;
use super::{Url, checked_text};

checked_text! {
    /// Twelve digits.
    Account
}

checked_text! {
    /// A region in the form of AWS's own names; whether it exists and is open to the account, AWS knows.
    Region
}

/// Which cloud answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS itself.
    Aws,
    /// The cloud that this tool starts on this machine.
    Local,
    /// Something else that speaks AWS's API, at this address.
    Url(Url),
}

impl Account {
    /// What the local cloud calls itself.
    pub const LOCAL: &str = "000000000000";

    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let hint = if digits.len() == 12 {
            format!("write the digits alone: `account = \"{digits}\"`")
        } else {
            "find it with: aws sts get-caller-identity --query Account --output text".to_owned()
        };
        Err(Wrong::new(format!("`{text}` is no account id, which has 12 digits"), hint))
    }

    #[must_use]
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }
}

/// First parts of all regions of all partitions.
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
    /// Where the local cloud pretends to be.
    pub const LOCAL: &str = "us-east-1";

    /// Area, direction and number, each from what AWS uses, so that a new region needs no change here.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let parts = text.rsplit_once('-').and_then(|(front, number)| {
            let (area, direction) = front.rsplit_once('-')?;
            Some((area, direction, number))
        });
        let no_region = format!("`{text}` is no region");
        let Some((area, direction, number)) = parts else {
            return Err(Wrong::new(no_region, "write it like `eu-central-1`; leave out the zone's letter"));
        };
        let zone = |c: char| c.is_ascii_lowercase();
        if number.len() > 1 && number.ends_with(zone) {
            let region = text.trim_end_matches(zone);
            return Err(Wrong::new(format!("`{text}` is a zone"), format!("write its region, `{region}`")));
        }
        if number.len() != 1 || !matches!(number.as_bytes(), [b'1'..=b'9']) {
            return Err(Wrong::new(no_region, "end it with one digit, like `eu-central-1`"));
        }
        let corrected = |word: &str, known: &[&str]| {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            nearest(word, &known).cloned().ok_or_else(|| list(&known))
        };
        let rest = if AREAS.contains(&area) {
            if DIRECTIONS.contains(&direction) {
                return Ok(Self(text.to_owned()));
            }
            corrected(direction, &DIRECTIONS).map(|near| format!("{area}-{near}-{number}"))
        } else {
            corrected(area, &AREAS).map(|near| format!("{near}-{direction}-{number}"))
        };
        Err(Wrong::new(
            no_region,
            match rest {
                Ok(near) => format!("write `{near}` if that is what you mean"),
                Err(known) => {
                    format!("choose one that begins with an area and a direction that AWS has: {known}")
                }
            },
        ))
    }

    #[must_use]
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if text == "local" {
            return Ok(Self::Local);
        }
        if text.contains("://") {
            return Url::parse(text).map(Self::Url);
        }
        Err(Wrong::new(
            format!("`{text}` is no endpoint"),
            "write `local`, the address of another cloud like `http://127.0.0.1:4566`, or leave it out for AWS",
        ))
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
    fn bad_regions_and_their_cures() {
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
            let wrong = Region::parse(bad).unwrap_err();
            assert!(wrong.hint.contains(cure), "{bad}: {}", wrong.hint);
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
    fn clouds() {
        assert_eq!(Endpoint::parse("local"), Ok(Endpoint::Local));
        assert!(matches!(Endpoint::parse("http://127.0.0.1:4566"), Ok(Endpoint::Url(_))));
        assert!(Endpoint::parse("localstack").is_err());
    }
}
