//! `image`: the container image, made without a daemon.

mod build;
mod push;

use crate::fail::Result;
use crate::ui::{EnvArg, Ui};
use clap::{Args, Subcommand};

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
}

/// Build the image into `.ductwork/cache/image`.
///
/// Example: cargo xtask image build --env dev
#[derive(Args, Debug)]
pub struct Build {
    #[command(flatten)]
    pub env: EnvArg,
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

pub async fn run(image: &Image, ui: &Ui) -> Result<()> {
    match image {
        Image::Build(args) => build::run(args, ui).await,
        Image::Push(args) => push::run(args, ui).await,
    }
}
