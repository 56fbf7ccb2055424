//! One file per verb: its arguments and the wiring resolve → observe → plan → show → confirm → apply → report.

pub mod ask;
pub mod bundle_dags;
pub mod check;
pub mod checks;
pub mod connect;
pub mod deploy;
pub mod destroy;
pub mod format;
pub mod history;
pub mod local;
pub mod package;
pub mod plan;
pub mod preflight;
pub mod prepare;
pub mod project;
pub mod release;
pub mod rollback;
pub mod secret;
pub mod sink;
pub mod stacks;
pub mod status;
pub mod target;
pub mod ui;
pub mod way_back;
