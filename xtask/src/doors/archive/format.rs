//! The zip headers as bytes (PKWARE APPNOTE 6.3, sections 4.3 and 4.4), without extra fields.

use super::Mode;
use crate::fail::{Fail, Result};

/// 1980-01-01, the first day zip can tell: day 1, month 1, year 0.
const DATE: u16 = (1 << 5) | 1;
/// 2.0: deflate.
const VERSION: u16 = 20;
/// The attributes are those of Unix.
const MADE_BY: u16 = (3 << 8) | VERSION;
/// Sizes and checksum follow the data.
const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// The name is UTF-8.
const FLAG_UTF8: u16 = 1 << 11;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored = 0,
    Deflated = 8,
}

/// What the headers of one entry say.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub name: String,
    pub mode: Mode,
    pub method: Method,
    /// Where its local header begins.
    pub offset: u32,
    pub crc: u32,
    pub deflated: u32,
    pub size: u32,
    /// Checksum, deflated and raw size where they were known before the data were written.
    pub front: Option<(u32, u32, u32)>,
}

impl Header {
    pub fn local(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(30 + self.name.len());
        out.extend(0x0403_4b50_u32.to_le_bytes());
        self.common(&mut out, self.front.unwrap_or_default());
        out.extend(self.name.as_bytes());
        out
    }

    pub fn descriptor(&self) -> Vec<u8> {
        [0x0807_4b50, self.crc, self.deflated, self.size].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    pub fn central(&self, out: &mut Vec<u8>) {
        let mode: u32 = match self.mode {
            Mode::Plain => 0o100_644,
            Mode::Program => 0o100_755,
        };
        out.extend(0x0201_4b50_u32.to_le_bytes());
        out.extend(MADE_BY.to_le_bytes());
        self.common(out, (self.crc, self.deflated, self.size));
        // no comment, first disk, no internal attributes
        out.extend([0; 6]);
        out.extend((mode << 16).to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.name.as_bytes());
    }

    /// The part that the local and the central header share.
    fn common(&self, out: &mut Vec<u8>, (crc, deflated, size): (u32, u32, u32)) {
        let descriptor = if self.front.is_none() { FLAG_DESCRIPTOR } else { 0 };
        let utf8 = if self.name.is_ascii() { 0 } else { FLAG_UTF8 };
        for short in [VERSION, descriptor | utf8, self.method as u16, 0, DATE] {
            out.extend(short.to_le_bytes());
        }
        for long in [crc, deflated, size] {
            out.extend(long.to_le_bytes());
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked before the first entry is written")]
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend(0_u16.to_le_bytes());
    }
}

/// The end of the archive; more than 65,534 entries are counted in the wider record of zip64.
pub(super) fn end(entries: u64, central_at: u32, central_size: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let short = u16::try_from(entries).unwrap_or(u16::MAX);
    if short == u16::MAX {
        let end_at = u64::from(central_at) + u64::from(central_size);
        out.extend(0x0606_4b50_u32.to_le_bytes());
        out.extend(44_u64.to_le_bytes());
        out.extend([45, 3, 45, 0]);
        out.extend([0; 8]);
        for long in [entries, entries, central_size.into(), central_at.into()] {
            out.extend(long.to_le_bytes());
        }
        out.extend(0x0706_4b50_u32.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend(end_at.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
    }
    out.extend(0x0605_4b50_u32.to_le_bytes());
    out.extend([0; 4]);
    out.extend(short.to_le_bytes());
    out.extend(short.to_le_bytes());
    out.extend(central_size.to_le_bytes());
    out.extend(central_at.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// Sizes and places are 32 bits wide.
pub(super) fn narrow(number: u64) -> Result<u32> {
    let fits = u32::try_from(number).ok().filter(|fits| *fits != u32::MAX);
    fits.ok_or_else(|| {
        Fail::usage("the archive would be larger than 4 GiB")
            .hint("keep data in S3 and let the DAGs read them there; `.ductworkignore` leaves files out")
    })
}
