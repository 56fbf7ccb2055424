//! The versions of Python that Airflow runs on.

use std::ops::RangeInclusive;

/// Of Python 3: the oldest minor version that Airflow 3.3 runs on, and the newest.
pub const MINORS: RangeInclusive<u32> = 10..=14;
