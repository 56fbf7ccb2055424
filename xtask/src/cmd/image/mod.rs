//! `image`: the container image, made without a daemon.

mod build;
mod check;
mod push;
mod show;

use crate::fail::Result;
use crate::ui::{EnvArg, Ui};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Build and push the container image: Airflow, the locked packages and this project.
///
/// No Docker is needed, and no root: packages are installed for the image's platform, packed
/// into layers, and put on the base that the environment file names. The same tree makes the
/// same image on every machine.
///
/// Example: cargo xtask image push --env dev
#[derive(Subcommand, Debug)]
pub enum Image {
    Build(Build),
    Push(Push),
    Check(Check),
    Show(Show),
}

/// Build the image into `.ductwork/cache/image`.
///
/// Example: cargo xtask image build --env dev
#[derive(Args, Debug)]
pub struct Build {
    #[command(flatten)]
    pub env: EnvArg,
    /// Write the list of what is in the image to this file, as CycloneDX; `push` attaches the same to the image.
    #[arg(long, value_name = "FILE")]
    pub sbom: Option<PathBuf>,
}

/// Build the image, and push what the registry does not have yet.
///
/// An image that the registry has is neither built nor pushed.
///
/// Example: cargo xtask image push --env dev
#[derive(Args, Debug)]
pub struct Push {
    #[command(flatten)]
    pub env: EnvArg,
}

/// Parse the DAGs with the packages that are in the image.
///
/// They are those of the image's own Python version; `check` and the gate `dags` use the lock's packages
/// with the Python of this machine.
///
/// Example: cargo xtask image check --env dev
#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    pub env: EnvArg,
}

/// Show what the registry has of this tree's image: size, origin, and what its scan has found.
///
/// Example: cargo xtask image show --env dev
#[derive(Args, Debug)]
pub struct Show {
    #[command(flatten)]
    pub env: EnvArg,
}

pub async fn run(image: &Image, ui: &Ui) -> Result<()> {
    match image {
        Image::Build(args) => build::run(args, ui).await,
        Image::Push(args) => push::run(args, ui).await,
        Image::Check(args) => check::run(args, ui).await,
        Image::Show(args) => show::run(args, ui).await,
    }
}
