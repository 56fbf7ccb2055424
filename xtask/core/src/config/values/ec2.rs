//! Instance types of EC2, RDS and ElastiCache, and IDs of VPCs and subnets.

use super::checked::checked_text;
use super::choice::Architecture;
use super::task::TaskSize;
use crate::config::problems::Refusal;
use crate::config::words::nearest;

checked_text! {
    /// An EC2 instance type: `family.size`.
    InstanceType
}

checked_text! {
    /// An RDS instance class: `db.family.size`.
    InstanceClass
}

checked_text! {
    /// An ElastiCache node type: `cache.family.size`.
    CacheNodeType
}

checked_text! {
    /// `vpc-…`
    VpcId
}

checked_text! {
    /// A machine image: `ami-…`, or the name of the SSM parameter that holds such an ID, which starts with a slash.
    Image
}

checked_text! {
    /// `subnet-…`
    SubnetId
}

/// Sizes that do not start with a number
/// (<https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>).
const SIZES: [&str; 7] = ["nano", "micro", "small", "medium", "large", "xlarge", "metal"];
/// The sizes of burstable families.
const BURSTABLE_SIZES: [&str; 7] = ["nano", "micro", "small", "medium", "large", "xlarge", "2xlarge"];

fn is_size(size: &str) -> bool {
    let number = |text: &str| matches!(text.parse::<u8>(), Ok(2..=224)) && !text.starts_with('0');
    let metal = size.strip_prefix("metal-").and_then(|rest| rest.strip_suffix("xl"));
    SIZES.contains(&size) || size.strip_suffix("xlarge").is_some_and(number) || metal.is_some_and(number)
}

/// Letters, a digit, and what may follow, as in `t3`, `c7gn`, `u-6tb1` and `m8i-flex`.
fn is_family(family: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    family.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && family.bytes().any(|b| b.is_ascii_digit())
        && family.bytes().all(plain)
        && !family.ends_with('-')
}

/// Checks `family.size`.
fn check(text: &str, example: &str) -> Result<(), Refusal> {
    let Some((family, size)) = text.split_once('.') else {
        let message = format!("expected a family and a size separated by a dot, found `{text}`");
        return Err(Refusal::new(message, format!("use a type like `{example}`")));
    };
    if !is_family(family) {
        let message = format!("invalid instance family: `{family}`");
        return Err(Refusal::new(message, format!("use a type like `{example}`")));
    }
    let burstable = matches!(family, "t2" | "t3" | "t3a" | "t4g");
    if burstable && !BURSTABLE_SIZES.contains(&size) {
        let hint = format!("use one of its sizes: {}", BURSTABLE_SIZES.join(", "));
        return Err(Refusal::new(format!("`{family}` has no size `{size}`"), hint));
    }
    if is_size(size) {
        return Ok(());
    }
    let hint = match nearest(size, &SIZES) {
        Some(near) => format!("use `{family}.{near}`"),
        None => "use a size such as medium, large, xlarge, 2xlarge or 4xlarge".to_owned(),
    };
    Err(Refusal::new(format!("unknown instance size: `{size}`"), hint))
}

/// The size of a default instance type; the family follows from the architecture.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    Small,
    Medium,
    Large,
}

impl InstanceType {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        for (prefix, what) in [("db.", "RDS instance class"), ("cache.", "ElastiCache node type")] {
            if let Some(rest) = text.strip_prefix(prefix) {
                let message = format!("expected an EC2 instance type, found an {what}: `{text}`");
                return Err(Refusal::new(message, format!("use `{rest}`")));
            }
        }
        check(text, "m7i.large")?;
        Ok(Self(text.to_owned()))
    }

    /// The default type of this size.
    #[must_use]
    pub fn of(architecture: Architecture, size: Size) -> Self {
        let family = match architecture {
            Architecture::X86 => "t3",
            Architecture::Arm => "t4g",
        };
        let size = match size {
            Size::Small => "small",
            Size::Medium => "medium",
            Size::Large => "large",
        };
        Self(format!("{family}.{size}"))
    }

    /// What an instance has, as far as the name tells: of burstable and general families, and those with more
    /// CPU or memory, since their fifth generation.
    #[must_use]
    pub fn size(&self) -> Option<TaskSize> {
        let (family, size) = self.0.split_once('.')?;
        let number = |size: &str| size.strip_suffix("xlarge").and_then(|number| number.parse::<u32>().ok());
        let vcpus = match size {
            "medium" => 1,
            "large" => 2,
            "xlarge" => 4,
            other => 4 * number(other)?,
        };
        if let "t3" | "t3a" | "t4g" = family {
            return Some(TaskSize::new(vcpus.max(2) * 1024, vcpus * 4 * 1024));
        }
        let kind = family.trim_end_matches(|c: char| !c.is_ascii_digit());
        let gib = match (kind.get(..1)?, kind.get(1..)?.parse::<u32>().ok()?) {
            _ if family == "c5n" => return None,
            ("c", 5..) => 2,
            ("m", 5..) => 4,
            ("r", 5..) => 8,
            _ => return None,
        };
        Some(TaskSize::new(vcpus * 1024, vcpus * gib * 1024))
    }

    /// Graviton families have a `g` after the digit of the generation; `a1` is the only exception.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        let family = self.0.split('.').next().unwrap_or_default();
        let attributes = family.trim_start_matches(|c: char| !c.is_ascii_digit());
        let attributes = attributes.trim_start_matches(|c: char| c.is_ascii_digit());
        let attributes = attributes.split('-').next().unwrap_or_default();
        if family == "a1" || attributes.contains('g') { Architecture::Arm } else { Architecture::X86 }
    }
}

impl InstanceClass {
    /// The smallest class that handles the metadata of a few thousand runs a day without swapping.
    pub const DEFAULT: &str = "db.t4g.small";

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let Some(rest) = text.strip_prefix("db.") else {
            let message = format!("invalid RDS instance class: `{text}` (it must start with `db.`)");
            return Err(Refusal::new(message, format!("use a class like `{}`", Self::DEFAULT)));
        };
        check(rest, Self::DEFAULT)?;
        Ok(Self(text.to_owned()))
    }
}

impl Default for InstanceClass {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl CacheNodeType {
    /// The smallest type that supports replicas and a password.
    pub const DEFAULT: &str = "cache.t4g.small";

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let Some(rest) = text.strip_prefix("cache.") else {
            let message = format!("invalid ElastiCache node type: `{text}` (it must start with `cache.`)");
            return Err(Refusal::new(message, format!("use a type like `{}`", Self::DEFAULT)));
        };
        check(rest, Self::DEFAULT)?;
        Ok(Self(text.to_owned()))
    }
}

impl Default for CacheNodeType {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

/// `prefix-` and 8 or 17 lower-case hex digits: the old and the current length of IDs.
fn id(text: &str, prefix: &str, list: &str) -> Result<String, Refusal> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    if matches!(digits.len(), 8 | 17) && digits.bytes().all(hex) {
        return Ok(text.to_owned());
    }
    let message = format!("invalid ID: `{text}` (expected one like `{prefix}-0a1b2c3d4e5f67890`)");
    Err(Refusal::new(message, format!("find it: aws ec2 {list}")))
}

impl VpcId {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        id(text, "vpc", "describe-vpcs --query 'Vpcs[].VpcId'").map(Self)
    }
}

impl Image {
    /// The most that the template parameter `HostImageParameter` accepts.
    const LONGEST_NAME: usize = 1011;

    #[must_use]
    pub fn is_id(&self) -> bool {
        self.0.starts_with("ami-")
    }

    pub fn id(text: &str) -> Result<Self, Refusal> {
        let list = "describe-images --owners self --query 'Images[].[ImageId,Name]'";
        id(text, "ami", list).map(Self)
    }

    pub fn parameter(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let length = 2..=Self::LONGEST_NAME;
        if text.starts_with('/') && text.chars().all(plain) && length.contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("invalid name of an SSM parameter: `{text}` (it must start with a slash)");
        let hint = if text.starts_with("ami-") {
            "set `image` instead: this is the ID of an image"
        } else {
            "use a name like `/data-platform/airflow-image`; list yours: \
             aws ssm describe-parameters --query 'Parameters[].Name'"
        };
        Err(Refusal::new(message, hint))
    }
}

impl SubnetId {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let list = "describe-subnets --query 'Subnets[].[SubnetId,VpcId,AvailabilityZone]'";
        id(text, "subnet", list).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_types() {
        for good in
            ["t3.medium", "m7i.4xlarge", "u-6tb1.112xlarge", "c7gn.metal", "m8i-flex.large", "r8g.metal-24xl"]
        {
            assert!(InstanceType::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "t3",
            "t3.huge",
            "T3.medium",
            "t3.4xlarge",
            "m5.0xlarge",
            "m5.1xlarge",
            "m.large",
            "db.t3.micro",
        ] {
            assert!(InstanceType::parse(bad).is_err(), "{bad}");
        }
        assert!(InstanceType::parse("m5.lagre").unwrap_err().hint.contains("`m5.large`"));
    }

    #[test]
    fn sizes_as_far_as_the_name_tells() {
        let size = |name: &str| InstanceType::parse(name).unwrap().size();
        for (name, vcpus, gib) in [
            ("t3.medium", 2, 4),
            ("t4g.large", 2, 8),
            ("t3a.2xlarge", 8, 32),
            ("m7g.medium", 1, 4),
            ("m7i.large", 2, 8),
            ("m8i-flex.xlarge", 4, 16),
            ("c7gn.9xlarge", 36, 72),
            ("r6id.24xlarge", 96, 768),
        ] {
            assert_eq!(size(name), Some(TaskSize::new(vcpus * 1024, gib * 1024)), "{name}");
        }
        for unclear in
            ["t3.nano", "t2.large", "c5n.large", "c4.large", "m5.metal", "g5.xlarge", "u-6tb1.112xlarge"]
        {
            assert_eq!(size(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn architectures() {
        for arm in
            ["t4g.small", "a1.large", "m8g.large", "c7gn.large", "x2gd.large", "is4gen.large", "g5g.xlarge"]
        {
            assert_eq!(InstanceType::parse(arm).unwrap().architecture(), Architecture::Arm, "{arm}");
        }
        for x86 in
            ["t3.small", "t3a.small", "g5.xlarge", "g4dn.xlarge", "u7in-16tb.224xlarge", "m8i-flex.large"]
        {
            assert_eq!(InstanceType::parse(x86).unwrap().architecture(), Architecture::X86, "{x86}");
        }
    }

    #[test]
    fn classes_and_node_types_and_ids() {
        assert!(InstanceClass::parse("db.t4g.small").is_ok());
        assert!(InstanceClass::parse("t4g.small").is_err());
        assert!(InstanceClass::parse("db.t4g.huge").is_err());
        assert!(CacheNodeType::parse("cache.r7g.large").is_ok());
        assert!(CacheNodeType::parse("t4g.small").is_err());
        assert!(CacheNodeType::parse("cache.t4g.huge").is_err());
        assert!(VpcId::parse("vpc-0a1b2c3d").is_ok());
        assert!(VpcId::parse("vpc-0a1b2c3d4e5f67890").is_ok());
        assert!(VpcId::parse("subnet-0a1b2c3d").is_err());
        assert!(SubnetId::parse("subnet-0A1b2c3d").is_err());
        assert!(Image::id("ami-0a1b2c3d4e5f67890").is_ok());
        assert!(Image::id("/images/airflow").is_err());
        assert!(Image::parameter("/images/airflow_1.2-b").is_ok());
        for bad in ["", "/", "images/airflow", "/images:3", "/ä", "ami-0a1b2c3d4e5f67890"] {
            assert!(Image::parameter(bad).is_err(), "{bad}");
        }
    }
}
