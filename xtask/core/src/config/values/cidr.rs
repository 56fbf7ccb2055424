//! IPv4 CIDR blocks.

use crate::config::problems::Refusal;
use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 CIDR block; the bits after the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: Ipv4Addr,
    prefix: u8,
}

/// A private block that is large enough for the subnets of a new VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VpcCidr(Cidr);

impl Cidr {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "use a block like `203.0.113.0/24`, or `203.0.113.7/32` for a single address";
        let invalid = || Refusal::new(format!("invalid IPv4 CIDR block: `{text}`"), hint);
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: Ipv4Addr = address.parse().map_err(|_| invalid())?;
        let digits =
            prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        let prefix: u8 = prefix.parse().ok().filter(|prefix| digits && *prefix <= 32).ok_or_else(invalid)?;
        let block = Self::containing(address, prefix);
        if block.first != address {
            let message = format!("a CIDR block must start at its network address, found `{text}`");
            return Err(Refusal::new(message, format!("use `{block}`")));
        }
        Ok(block)
    }

    /// The block of this size that contains the address.
    fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Self { first: Ipv4Addr::from(u32::from(address) & mask), prefix }
    }

    /// This machine only, which on AWS means nobody.
    pub const LOOPBACK: Self = Self { first: Ipv4Addr::LOCALHOST, prefix: 32 };
}

impl VpcCidr {
    pub const DEFAULT: Self = Self(Cidr { first: Ipv4Addr::new(10, 0, 0, 0), prefix: 16 });

    /// AWS allows no more than a /16; less than a /20 does not hold the subnets, of 256 addresses each.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let cidr = Cidr::parse(text)?;
        if !cidr.first.is_private() {
            let hint = "use a block within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16";
            return Err(Refusal::new(format!("not a private address range: `{text}`"), hint));
        }
        if !(16..=20).contains(&cidr.prefix) {
            let hint =
                format!("use a prefix length from 16 to 20, such as `{}`", Cidr::containing(cidr.first, 16));
            return Err(Refusal::new(format!("too large or too small for a VPC: `{text}`"), hint));
        }
        Ok(Self(cidr))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Display for VpcCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for good in ["0.0.0.0/0", "203.0.113.7/32", "10.0.0.0/8", "128.0.0.0/1"] {
            assert_eq!(Cidr::parse(good).unwrap().to_string(), good);
        }
        for bad in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/08", "10.0.0.0/+8", "::/0", "10.0.0.256/8"]
        {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Cidr::parse("10.1.2.3/16").unwrap_err().hint, "use `10.1.0.0/16`");
    }

    #[test]
    fn ranges_of_a_vpc() {
        for good in ["10.0.0.0/16", "172.31.16.0/20", "192.168.0.0/16"] {
            assert!(VpcCidr::parse(good).is_ok(), "{good}");
        }
        for bad in ["10.0.0.0/8", "10.0.0.0/24", "8.8.0.0/16", "172.32.0.0/16"] {
            assert!(VpcCidr::parse(bad).is_err(), "{bad}");
        }
        assert!(VpcCidr::parse("10.1.2.0/24").unwrap_err().hint.ends_with("`10.1.0.0/16`"));
        assert_eq!(VpcCidr::DEFAULT.to_string(), "10.0.0.0/16");
        assert_eq!(Cidr::LOOPBACK.to_string(), "127.0.0.1/32");
    }
}
