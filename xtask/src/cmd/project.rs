//! Where the project is, and the environment a verb works on.

use crate::apply::local_cloud;
use crate::config::{Endpoint, Environment};
use crate::doors::aws::Aws;
use crate::doors::{env, net};
use crate::fail::{Fail, Problem, Result};
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
            Some(root) => Self::at(root),
            None => Err(Fail::usage(format!("`{}` is not within a Ductwork project", here.display()))
                .cause("no folder upwards holds `environments/` and `Cargo.toml`")
                .hint("change to your clone of the repository and run the command again")),
        }
    }

    /// Some characters mean something to the programs that are told the folder: `%` to supervisord and to
    /// Airflow's database migrations, `:` to Python's search path.
    fn at(root: &Path) -> Result<Self> {
        let path = root.display().to_string();
        match path.chars().find(|c| ['%', ':'].contains(c)) {
            None => Ok(Self { root: root.to_owned() }),
            Some(bad) => Err(Fail::usage(format!("the project's path has a `{bad}` in it: `{path}`"))
                .cause("supervisord, Python and Airflow would not take it for a part of the path")
                .hint(format!("rename the folder, for instance: mv '{path}' '{}'", path.replace(bad, "-")))),
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

    /// Clients for an environment, with account and region verified. A local cloud is not started,
    /// and has but one of each.
    pub async fn connect(&self, environment: &Environment) -> Result<Aws> {
        let (region, name) = (environment.aws.region.as_str(), &environment.name);
        let (place, endpoint) = match &environment.aws.endpoint {
            Endpoint::Local => {
                let cloud = local_cloud::running(&self.root)?.ok_or_else(|| {
                    Fail::usage("the local cloud does not run")
                        .hint("start it: cargo xtask local up")
                        .hint(format!("or deploy, which starts it: cargo xtask deploy --env {name}"))
                })?;
                return Ok(Aws::connect(region, Some(&cloud.endpoint), true).await);
            }
            Endpoint::Url(url) => (format!("environments/{name}.toml `aws.endpoint`"), Some(url.to_string())),
            Endpoint::Aws => ("AWS_ENDPOINT_URL".to_owned(), env::aws_endpoint_url()),
        };
        if let Some(url) = endpoint.as_ref().filter(|url| !net::answers(url)) {
            let hint = "start what should answer there, or correct the address";
            let problem = Problem::new("no_answer", place, format!("nothing listens at `{url}`"), hint);
            return Err(Fail::problems(format!("cannot connect to the cloud of `{name}`"), vec![problem]));
        }
        let aws = Aws::connect(region, endpoint.as_deref(), false).await;
        environment.check_identity(&aws.account().await?, env::aws_region().as_deref())?;
        Ok(aws)
    }

    /// The same, with the local cloud started first.
    pub async fn connect_for_writing(
        &self,
        environment: &Environment,
        sink: &Sink,
        step: &str,
    ) -> Result<Aws> {
        if environment.is_local() {
            local_cloud::up(&self.root, sink, step)?;
        }
        self.connect(environment).await
    }
}
