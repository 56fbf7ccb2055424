//! Ranges of IPv4 addresses.

use super::super::problems::Wrong;
use std::fmt;
use std::net::Ipv4Addr;

/// A range of IPv4 addresses; the address is the range's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: Ipv4Addr,
    prefix: u8,
}

/// A private range large enough for the subnets of an own VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VpcCidr(Cidr);

impl Cidr {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let hint = "write it like `203.0.113.0/24`, and one address like `203.0.113.7/32`";
        let wrong = || Wrong::new(format!("`{text}` is no range of IPv4 addresses"), hint);
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let digits =
            prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        let prefix: u8 = prefix.parse().ok().filter(|prefix| digits && *prefix <= 32).ok_or_else(wrong)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let first = Ipv4Addr::from(u32::from(address) & mask);
        if first != address {
            return Err(Wrong::new(
                format!("`{text}` does not begin with the first address of its range"),
                format!("write `{first}/{prefix}`"),
            ));
        }
        Ok(Self { first, prefix })
    }

    /// This machine alone: on AWS, nobody.
    pub const LOOPBACK: Self = Self { first: Ipv4Addr::LOCALHOST, prefix: 32 };
}

impl VpcCidr {
    pub const DEFAULT: Self = Self(Cidr { first: Ipv4Addr::new(10, 0, 0, 0), prefix: 16 });

    /// The widest that a VPC may have is 16 bits; below 20 bits its subnets of 256 addresses do not fit.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let cidr = Cidr::parse(text)?;
        if !cidr.first.is_private() {
            let hint = "take one within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16";
            return Err(Wrong::new(format!("`{text}` is no private range"), hint));
        }
        if !(16..=20).contains(&cidr.prefix) {
            let hint = format!("take a prefix from 16 to 20, like `{}/16`", cidr.first);
            return Err(Wrong::new(format!("`{text}` is too wide or too narrow for a VPC"), hint));
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
        assert_eq!(Cidr::parse("10.1.2.3/16").unwrap_err().hint, "write `10.1.0.0/16`");
    }

    #[test]
    fn ranges_of_a_vpc() {
        for good in ["10.0.0.0/16", "172.31.16.0/20", "192.168.0.0/16"] {
            assert!(VpcCidr::parse(good).is_ok(), "{good}");
        }
        for bad in ["10.0.0.0/8", "10.0.0.0/24", "8.8.0.0/16", "172.32.0.0/16"] {
            assert!(VpcCidr::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(VpcCidr::DEFAULT.to_string(), "10.0.0.0/16");
        assert_eq!(Cidr::LOOPBACK.to_string(), "127.0.0.1/32");
    }
}
