//! Where the project is, and the environment a verb works on.

use crate::apply::local_cloud;
use crate::config::{Endpoint, Environment};
use crate::doors::aws::Aws;
use crate::doors::{env, fs};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::observe;
use clap::Args;
use std::path::{Path, PathBuf};

/// The environment to work on.
#[derive(Args, Clone, Debug)]
pub struct EnvArg {
    /// The environment: a file of that name in `environments/`.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub env: String,
}

#[derive(Clone, Debug)]
pub struct Project {
    pub root: PathBuf,
}

impl Project {
    /// The nearest folder upwards that holds `environments/` and `dags/` or `Cargo.toml`.
    pub fn find() -> Result<Self> {
        let here =
            std::env::current_dir().map_err(|e| Fail::usage("the current folder is gone").because(e))?;
        let is_root =
            |folder: &&Path| folder.join("environments").is_dir() && folder.join("Cargo.toml").is_file();
        match here.ancestors().find(is_root) {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Fail::usage(format!("`{}` is not within a Ductwork project", here.display()))
                .cause("no folder upwards holds `environments/` and `Cargo.toml`")
                .hint("change to your clone of the repository and run the command again")),
        }
    }

    /// The folder of everything that this tool makes.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join(".ductwork")
    }

    /// The environment file, complete and checked.
    pub fn environment(&self, arg: &EnvArg) -> Result<Environment> {
        observe::environment::load(&self.root, &arg.env)
    }

    /// Clients for an environment whose local cloud, if it has one, runs; it is not started.
    pub async fn connect(&self, environment: &Environment) -> Result<Aws> {
        let region = environment.aws.region.as_str();
        Ok(match &environment.aws.endpoint {
            Endpoint::Local => match local_cloud::running(&self.root)? {
                Some(cloud) => Aws::connect(region, Some(&cloud.endpoint), true).await,
                None => {
                    return Err(Fail::usage("the local cloud does not run")
                        .hint("start it: cargo xtask local up")
                        .hint("or deploy, which starts it: cargo xtask deploy --env local"));
                }
            },
            Endpoint::Url(url) => Aws::connect(region, Some(url.as_str()), false).await,
            Endpoint::Aws => Aws::connect(region, env::aws_endpoint_url().as_deref(), false).await,
        })
    }

    /// The same, with the local cloud started first, and with the account and region verified.
    pub async fn connect_for_writing(
        &self,
        environment: &Environment,
        sink: &Sink,
        step: &str,
    ) -> Result<Aws> {
        if environment.aws.endpoint == Endpoint::Local {
            fs::create_dir(&local_cloud::state(&self.root))?;
            local_cloud::up(&self.root, sink, step)?;
        }
        let aws = self.connect(environment).await?;
        let actual = aws.account().await?;
        environment.check_identity(&actual, env::aws_region().as_deref())?;
        Ok(aws)
    }
}
