//! `lock`: the lock files from what people write down.

use crate::apply::lock::{Upgrade, lock};
use crate::fail::Result;
use crate::report::lock::Locks;
use crate::session::project::Project;
use crate::ui::Ui;
use clap::Args;

/// Lock the versions of all Python packages, with their checksums.
///
/// Hosts, the image and this machine install exactly what the lock files say. To add a package, write it into
/// `airflow/requirements.in` and run this; what is locked already stays as it is, unless the new package cannot live
/// with it. A private index is a line of that file, `--extra-index-url` or `--index-url`; its login is
/// `DUCTWORK_INDEX_USERNAME` and `DUCTWORK_INDEX_PASSWORD`. Neither gets into a lock.
///
/// Example: cargo xtask lock --upgrade-package apache-airflow-providers-amazon
#[derive(Args, Debug)]
pub struct Lock {
    /// Take the newest version of this package; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub upgrade_package: Vec<String>,
    /// Take the newest version of every package.
    #[arg(long, conflicts_with = "upgrade_package")]
    pub upgrade: bool,
}

pub fn run(args: &Lock, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let upgrade = Upgrade { all: args.upgrade, packages: args.upgrade_package.clone() };
    let locks = lock(&project.root, &upgrade, &ui.sink().step("lock"))?;
    let locks = locks.into_iter().map(|lock| (lock.file, lock.before, lock.after));
    ui.show(&Locks::new(locks));
    Ok(())
}
