//! `local up|down|reset`: the cloud of this machine.

use crate::doors::local_cloud;
use crate::fail::Result;
use crate::report::Told;
use crate::session::project::Project;
use crate::ui::Ui;
use clap::Subcommand;
use serde::Serialize;

/// Start, stop or throw away the cloud of this machine.
///
/// Example: cargo xtask local down
#[derive(Subcommand, Debug)]
pub enum Local {
    /// Start the local cloud and what ran in it before.
    ///
    /// Example: cargo xtask local up
    Up {
        /// Run tasks of ECS as containers of Docker, on Linux; their image needs a base (`image.base`).
        #[arg(long)]
        containers: bool,
    },
    /// Stop the local cloud, Airflow and the database; their state is kept.
    ///
    /// Example: cargo xtask local down
    Down,
    /// Stop everything and delete all local state: stacks, database, logs.
    ///
    /// Example: cargo xtask local reset
    Reset,
}

#[derive(Serialize)]
struct Where {
    endpoint: Option<String>,
}

pub fn run(verb: &Local, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let sink = ui.sink().step("local cloud");
    let (text, endpoint) = match verb {
        Local::Up { containers } => {
            let up = if *containers { local_cloud::up_with_containers } else { local_cloud::up };
            let cloud = up(&project.root, &sink)?;
            (format!("the local cloud runs at {}\n", cloud.endpoint), Some(cloud.endpoint))
        }
        Local::Down => {
            local_cloud::down(&project.root, &sink)?;
            ("the local cloud is stopped, its state is kept\n".to_owned(), None)
        }
        Local::Reset => {
            ui.consent("Delete the local cloud with its database, logs and releases?")?;
            local_cloud::wipe(&project.root, &sink)?;
            ("the local cloud and its state are gone\n".to_owned(), None)
        }
    };
    ui.show(&Told { text, document: Where { endpoint } });
    Ok(())
}
