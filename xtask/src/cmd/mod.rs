//! One file per verb: its arguments and the wiring resolve → observe → plan → show → confirm → apply → report.

pub mod airflow;
pub mod bundle_dags;
pub mod check;
pub mod deploy;
pub mod destroy;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod history;
pub mod image;
pub mod local;
pub mod lock;
pub mod package;
pub mod plan;
pub mod rollback;
pub mod run;
pub mod secret;
pub mod status;
pub mod unlock;
pub mod upgrade_test;
