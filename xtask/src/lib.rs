//! The release tool of this Airflow project. Data flows one way:
//!
//! ```text
//! environments/*.toml → config ─┐
//!      tree, AWS, hosts → observe ─→ plan ─→ show, confirm ─→ apply ─→ report
//! ```
//!
//! | module | what it is | never |
//! |---|---|---|
//! | [`cli`] | the table of verbs, dispatch, exit code | decides anything |
//! | [`cmd`] | one file per verb: wiring | holds logic |
//! | [`session`] | what every verb begins with; a deployment from its plan to its record | talks to AWS itself |
//! | [`ui`] | how a verb speaks and asks | decides what is said |
//! | [`observe`] | reads the tree, stacks, releases, Airflow | writes to the outside |
//! | [`apply`] | carries steps out, tells events | prints, reads configuration |
//! | [`doors`] | AWS, Airflow, processes, files, time, terminal | decides anything |
//! | [`report`] | plan, events, outcome, errors as text or JSON | touches the world |
//!
//! `model`, `config`, `plan` and `fail` come from the crate `ductwork-core` (`xtask/core`), which has no IO and no SDK.
//! Who may import whom among the others is tested in `tests/tidy`.

pub use ductwork_core::{config, fail, model, plan};

pub mod apply;
pub mod cli;
pub mod cmd;
pub mod doors;
pub mod observe;
pub mod report;
pub mod session;
pub mod ui;
