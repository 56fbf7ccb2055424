//! The tree as a release: its bundle, host revision and templates.

use super::dags;
use super::task_images::TaskImages;
use super::templates;
use crate::apply::context::{Archive, Artifacts};
use crate::apply::image::Pushing;
use crate::apply::lock;
use crate::config::{Environment, Images};
use crate::doors::{git, package_index};
use crate::fail::{Fail, Problem, Result};
use crate::model::bundle::Bundle;
use crate::model::engine::Engine;
use crate::model::release::{Parts, Release, Runtime, StackSpec};
use crate::model::text::count;
use crate::observe::git_dags::Checkout;
use crate::observe::{host_revision, objects, templates as sources};
use crate::plan::compose::{Additions, compose};
use crate::plan::gates::Promoted;
use crate::plan::templates::{Packaged, Sources};
use std::path::Path;
use std::sync::Arc;

/// A release that is meant to run, with everything that was made for it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub release: Release,
    /// The root of its composed templates.
    pub root: Packaged,
    pub artifacts: Artifacts,
    /// Where the artifacts come from, if not from this tree.
    pub promoted: Option<Promoted>,
}

/// Reads the whole tree; all problems of all parts are reported together, those of the image with them.
pub fn from_tree(
    project: &Path,
    environment: &Environment,
    git: Result<Option<Checkout>>,
    machine: Result<Option<String>>,
    (container, tasks): (Option<Arc<Pushing>>, TaskImages),
) -> Result<Candidate> {
    let cache = project.join(".ductwork/cache");
    let bundle = git.and_then(|git| Ok((dags::packed(project, git.as_ref())?, git.map(|git| git.source))));
    let host = match environment.engine.is_ecs() {
        true => Ok(None),
        false => host_revision::host_revision(project, &cache).map(Some),
    };
    let set = sources::archive(project, &cache);
    let packages = templates::packaged(project, environment);
    let objects = objects::load(project, environment.name.as_str());
    let index = package_index::named(project);
    let ((bundle, git), host, set, packages, objects, machine, index) =
        all(bundle, host, set, packages, objects, machine, index)?;
    let (templates, bootstrap) = packages;
    let root = templates.last().cloned().ok_or_else(|| Fail::bug("no template was packaged"))?;
    let images =
        Images { machine, container: container.as_deref().map(Pushing::by_digest), tasks: Some(tasks.named) };
    let seen = git::tree(project, &environment.files());
    let release = Release::new(Parts {
        bundle: bundle.digest,
        templates: Some(set.digest),
        image: container.as_ref().map(|image| image.digest),
        engine: environment.engine,
        runtime: runtime(host.as_ref(), container.as_deref())?,
        stack: StackSpec {
            template: root.digest,
            parameters: environment.parameters(&images, index.as_ref()),
        },
        objects,
        schema: None,
        commit: seen.as_ref().map(|tree| tree.commit.clone()),
        git,
    });
    let artifacts = Artifacts {
        bundle: Some(archive(bundle)),
        host_revision: host.map(archive),
        image: container,
        task_images: tasks.built,
        template_set: Some(archive(set)),
        templates,
        bootstrap: Some(bootstrap),
        tree: seen,
        ..Artifacts::default()
    };
    Ok(Candidate { release, root, artifacts, promoted: None })
}

/// A host revision, or on engines without hosts the image.
fn runtime(host: Option<&Bundle>, container: Option<&Pushing>) -> Result<Runtime> {
    let image = container.map(|image| Runtime::Services(image.digest));
    let host = host.map(|host| Runtime::Hosts(host.digest));
    host.or(image).ok_or_else(|| Fail::bug("this engine runs an image, and none was made"))
}

fn archive(made: Bundle) -> Archive {
    Archive { digest: made.digest, path: made.path }
}

/// What is wrong with the tree, whatever environment it is for. Packs nothing. A project may lack `dags/` if all the
/// environments that are looked at have their DAGs elsewhere.
///
/// # Errors
/// Anything else that goes wrong.
pub fn problems(root: &Path, environments: &[Environment]) -> Result<Vec<Problem>> {
    let mut problems = dags::problems(root, environments);
    problems.extend(host_revision::problems(root));
    problems.extend(objects::problems(root)?);
    problems.extend(lock::problems(root)?);
    let sources = match sources::read(root) {
        Ok(sources) => sources,
        Err(fail) => {
            problems.extend(fail.into_problems()?);
            return Ok(problems);
        }
    };
    for engine in engines(&sources) {
        let Err(fail) = composed(sources.clone(), engine) else { continue };
        for problem in fail.into_problems()? {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}

/// The default one, and those that the project has templates of: a project need not keep what it does not use.
fn engines(sources: &Sources) -> impl Iterator<Item = Engine> {
    let has = |engine: &Engine| {
        let folder = format!("engines/{}/", engine.folder());
        *engine == Engine::default() || sources.keys().any(|path| path.starts_with(&folder))
    };
    Engine::ALL.into_iter().filter(has)
}

fn composed(sources: Sources, engine: Engine) -> Result<()> {
    templates::written(&sources, engine)?;
    let composed = compose(sources, &Additions { engine, ..Additions::default() })?;
    templates::package_both(&composed).map(drop)
}

/// Seven results as one; problems of several parts become one list, and any other failure goes first.
fn all<A, B, C, D, E, F, G>(
    a: Result<A>,
    b: Result<B>,
    c: Result<C>,
    d: Result<D>,
    e: Result<E>,
    f: Result<F>,
    g: Result<G>,
) -> Result<(A, B, C, D, E, F, G)> {
    match (a, b, c, d, e, f, g) {
        (Ok(a), Ok(b), Ok(c), Ok(d), Ok(e), Ok(f), Ok(g)) => Ok((a, b, c, d, e, f, g)),
        (a, b, c, d, e, f, g) => {
            let mut problems = Vec::new();
            for fail in [a.err(), b.err(), c.err(), d.err(), e.err(), f.err(), g.err()].into_iter().flatten()
            {
                problems.extend(fail.into_problems()?);
            }
            problems.dedup();
            Err(Fail::problems(count(problems.len(), "problem") + " in the tree", problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC2: (&str, &str) = ("engines/ec2/engine.yaml", "Resources: {}\n");
    const ECS: (&str, &str) = ("engines/ecs/engine.yaml", "Resources: {}\n");

    fn sources(more: &[(&str, &str)]) -> Sources {
        let all = [("master.yaml", "Resources: {}\n"), ("bootstrap.yaml", "Resources: {}\n")];
        all.iter().chain(more).map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn engines_that_a_project_has_no_templates_of_are_not_missing() {
        let of = |more: &[(&str, &str)]| engines(&sources(more)).collect::<Vec<_>>();
        assert_eq!(of(&[EC2]), [Engine::Ec2]);
        assert_eq!(of(&[EC2, ECS]), Engine::ALL);
        assert_eq!(of(&[]), [Engine::Ec2], "the default is told to be missing");
    }

    #[test]
    fn the_templates_of_each_engine_are_put_together() {
        let told = |more: &[(&str, &str)], engine| match composed(sources(more), engine) {
            Ok(()) => Vec::new(),
            Err(fail) => fail.into_problems().unwrap().into_iter().map(|problem| problem.location).collect(),
        };
        let executor = ("engines/ecs/executor.yaml", "Resources: {}\n");
        let services = ("engines/ecs/services.yaml", "Resources: {}\n");
        let hosts = ("engines/ecs/hosts.yaml", "Resources:\n  - A\n");
        assert!(
            told(&[EC2, ECS, executor, services, hosts], Engine::Ec2).is_empty(),
            "none of its templates is wrong"
        );
        assert_eq!(
            told(&[ECS, executor, services, hosts], Engine::EcsEc2),
            ["templates/engines/ecs/hosts.yaml:2"]
        );
        let missing = told(&[ECS, executor, services, hosts], Engine::Fargate);
        assert!(missing.iter().all(|place| place.contains("engines/ecs/fargate.yaml")), "{missing:?}");
        assert!(!missing.is_empty());
    }
}
