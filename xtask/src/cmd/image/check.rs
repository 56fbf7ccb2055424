//! `image check`: the DAGs as the packages of the image see them.

use super::Check;
use crate::cmd::check::told;
use crate::doors::time;
use crate::fail::Result;
use crate::observe::dags::{self, Parsing};
use crate::observe::{bundle, objects};
use crate::report::check::{Checked, Ran};
use crate::session::project::Project;
use crate::session::{dags as dags_of, image};
use crate::ui::Ui;

pub async fn run(args: &Check, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let (root, sink) = (&project.root, ui.sink().step("check"));
    let environment = project.environment(&args.env.env)?;
    let objects = objects::load(root, environment.name.as_str())?;
    let (bundle, git) = match environment.dags.git {
        None => (bundle::bundle(root, &project.state().join("cache"))?, None),
        Some(_) => dags_of::of_environment(&args.env.env, &sink).await?,
    };
    let planned = image::planned(root, &environment, &sink).await?;
    let python = planned.environment(&sink).await?;
    let watch = time::Stopwatch::start();
    let how = Parsing { python: Some(python), ..Parsing::of(&environment, &objects) };
    let parsed = dags::parse(root, &bundle.path, how, &sink).await?;
    let problems = dags_of::located(parsed, git.as_ref()).problems;
    let seconds = time::seconds(watch.elapsed());
    told(vec![Checked { name: "dags", problems, seconds, ran: Ran::Everything }], ui)
}
