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
//! | [`model`] | data and newtypes, all names and keys, the contract | does IO |
//! | [`config`] | environment files, complete and checked | reads anything else |
//! | [`observe`] | reads the tree, stacks, releases, Airflow | writes to the outside |
//! | [`plan`] | facts in, plan and verdicts of gates out; pure | does IO, looks at a clock |
//! | [`apply`] | carries steps out, tells events | prints, reads configuration |
//! | [`doors`] | AWS, Airflow, processes, files, time, terminal | decides anything |
//! | [`report`] | plan, events, outcome, errors as text or JSON | touches the world |
//! | [`fail`] | the one error type, its problems, and the exit codes | imports another module |
//!
//! Who may import whom is tested in `tests/tidy`.

pub mod apply;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod doors;
pub mod fail;
pub mod model;
pub mod observe;
pub mod plan;
pub mod report;
pub mod session;
pub mod ui;
