//! The templates of an environment: read, composed with what the environment adds, packaged.

use crate::config::{self, Environment, FolderPath, Images};
use crate::fail::{Fail, Result};
use crate::model::engine::Engine;
use crate::model::stack::Protection;
use crate::observe::templates;
use crate::plan::compose::{
    ADDITIONAL, Additions, ExternalTask, ImageSource, MASTER, Policy, WorkerSet, as_written, compose,
    fragments,
};
use crate::plan::stack::{Desired, decide};
use crate::plan::templates::{Packaged, Sources, package};
use std::path::Path;

/// The master stack's templates, composed for the environment, and the bootstrap stack's one.
pub fn packaged(root: &Path, environment: &Environment) -> Result<(Vec<Packaged>, Packaged)> {
    package_sources(environment, &sources(root, environment)?)
}

/// The same of sources that are composed already.
pub fn package_sources(environment: &Environment, sources: &Sources) -> Result<(Vec<Packaged>, Packaged)> {
    told_as_written(environment, package_both(sources))
}

/// All templates of the environment, its master composed; children are named by relative path still.
pub fn sources(root: &Path, environment: &Environment) -> Result<Sources> {
    composed(root, environment, templates::read(root)?)
}

/// The same of other source templates than those of the tree; what the environment adds is the tree's.
pub fn composed(root: &Path, environment: &Environment, mut sources: Sources) -> Result<Sources> {
    if let Some(folder) = additional(environment) {
        sources.extend(templates::additional(root, folder, ADDITIONAL)?);
    }
    // What is wrong with a file as it is written is told with the line it is written in.
    written(&sources, environment.engine)?;
    let (additions, missing) = match additions(root, environment) {
        Ok(additions) => (additions, None),
        // Told with everything else that is wrong.
        Err(fail) => (without_policies(environment), Some(fail)),
    };
    let composed = match (compose(sources, &additions), missing) {
        (composed, None) => composed,
        (Ok(_), Some(missing)) => Err(missing),
        (Err(fail), Some(missing)) => Err(missing.and(fail.into_problems()?)),
    };
    told_as_written(environment, composed)
}

/// Whether the master and the engine's parts of it can be packaged as they are written.
pub fn written(sources: &Sources, engine: Engine) -> Result<()> {
    let mut problems = Vec::new();
    for path in std::iter::once(MASTER.to_owned()).chain(fragments(engine)) {
        let Err(fail) = package(sources, &path) else { continue };
        for problem in fail.into_problems()? {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Fail::problems("the templates cannot be packaged", problems))
}

/// The folder of the additional templates.
fn additional(environment: &Environment) -> Option<&str> {
    environment.additional.templates.as_ref().map(FolderPath::as_str)
}

fn told_as_written<T>(environment: &Environment, result: Result<T>) -> Result<T> {
    result.map_err(|fail| fail.at(|place| as_written(place, additional(environment))))
}

fn additions(root: &Path, environment: &Environment) -> Result<Additions> {
    let (components, paths): (Vec<String>, Vec<String>) =
        environment.policies().into_iter().map(|(component, path)| (component, path.to_string())).unzip();
    let documents = templates::policies(root, &paths)?;
    let policy = |((component, path), document)| Policy { component, path, document };
    let policies = components.into_iter().zip(paths).zip(documents).map(policy).collect();
    Ok(Additions { policies, ..without_policies(environment) })
}

fn without_policies(environment: &Environment) -> Additions {
    let set = |set: &config::WorkerSet| WorkerSet {
        name: set.name.to_string(),
        prefix: set.prefix(),
        parameters: set.parameters(),
        settings: set.settings(),
    };
    Additions {
        engine: environment.engine,
        managed_instances: environment.has_managed_instances(),
        worker_sets: environment.worker_sets().iter().map(set).collect(),
        external: environment.external_tasks().iter().map(external).collect(),
        policies: Vec::new(),
        given: environment.additional.parameters.clone(),
    }
}

fn external(task: &config::ExternalTask) -> ExternalTask {
    let source = match (&task.origin, task.repository()) {
        (config::Origin::Folder(_), _) => ImageSource::Ours,
        (_, Some(place)) => {
            let [account, region, repository] = place.map(str::to_owned);
            ImageSource::Ecr { account, region, repository }
        }
        (_, None) => ImageSource::Elsewhere,
    };
    ExternalTask {
        name: task.name.to_string(),
        stack: task.stack(),
        image: task.parameter(),
        parameters: task.parameters(),
        command: task.command.clone(),
        variables: task.variables(),
        source,
        files: task.has_files(),
        // CloudFormation completes it.
        operator: task.operator("${AWS::StackName}"),
    }
}

/// Whether the environment gives its master template what it asks for, and nothing else.
pub fn fits(environment: &Environment, templates: &[Packaged]) -> Result<()> {
    let Some(template) = templates.last() else { return Err(Fail::bug("no template was packaged")) };
    let desired = Desired {
        template,
        // Which ones they are, the account and the tree say.
        parameters: environment.parameters(&Images::example(), None),
        tags: environment.tags(),
        protection: Protection::Off,
    };
    let decided = decide(&desired, None);
    decided.map(drop).map_err(|problems| Fail::problems("the parameters do not fit the template", problems))
}

/// The packages of composed sources: the master stack's templates, root last, and the bootstrap stack's one.
pub fn package_both(sources: &Sources) -> Result<(Vec<Packaged>, Packaged)> {
    let master = package(sources, MASTER)?;
    let bootstrap = package(sources, "bootstrap.yaml")?;
    Ok((master.all().cloned().collect(), bootstrap.root().clone()))
}
