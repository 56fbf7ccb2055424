//! One function per step: carries it out, tells events; never prints, never reads configuration.

mod backoff;
pub mod templates;
