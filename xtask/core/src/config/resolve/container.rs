//! What images are made of, and for what.

use super::check::{at, flag};
use super::defaults::Defaults;
use crate::config::environment::Container;
use crate::config::file;
use crate::config::problems::{Problems, Reported};
use crate::config::values::{
    Architecture, BaseImage, Builder, Distribution, ImageRepository, Interpreter, Package, PythonMinor,
};

/// As many as on hosts.
const MOST_PACKAGES: usize = 40;

/// `hosts` is the architecture of the environment's hosts or tasks.
pub fn container(
    written: &file::Image,
    hosts: Result<Architecture, Reported>,
    defaults: Defaults,
    problems: &mut Problems,
) -> Result<Container, Reported> {
    let python = problems.choice(&written.python.0, PythonMinor::parse, PythonMinor::default());
    let base = problems.text(&written.base, BaseImage::parse);
    let interpreter = problems.text(&written.interpreter, Interpreter::parse);
    let repository = problems.text(&written.repository, ImageRepository::parse);
    let mut architectures = problems.texts(&written.architectures, 2, Architecture::parse);
    if architectures.is_empty() {
        architectures.push(hosts.unwrap_or(Architecture::X86));
    }
    if defaults.ecs {
        tasks_can_run_it(written, hosts.ok(), &architectures, problems);
    }
    let packages = problems.texts(&written.packages, MOST_PACKAGES, Package::parse);
    let compile = problems.texts(&written.compile, MOST_PACKAGES, Distribution::parse);
    let build_packages = problems.texts(&written.build_packages, MOST_PACKAGES, Package::parse);
    let builder = problems.text(&written.builder, Builder::parse);
    if written.compile.is_none() {
        let keys = [("build_packages", at(&written.build_packages))];
        problems.no_effect(
            &keys,
            "without `compile`",
            "name the packages to compile in `compile`, or remove it",
        );
    }
    let base = base?;
    if base.clone().unwrap_or_else(|| base_of(defaults, PythonMinor::default())) == BaseImage::Scratch {
        let keys = [
            ("packages", at(&written.packages)),
            ("compile", at(&written.compile)),
            ("python", at(&written.python.0)),
            ("interpreter", at(&written.interpreter)),
        ];
        problems.no_effect(
            &keys,
            "on the base `scratch`, which runs on this machine's Python",
            "name another base, or remove it",
        );
    }
    let python = python?;
    Ok(Container {
        base: base.unwrap_or_else(|| base_of(defaults, python)),
        python,
        interpreter: interpreter?.unwrap_or_else(|| Interpreter::official(python)),
        architectures,
        repository: repository?,
        packages,
        compile,
        build_packages,
        builder: builder?,
        deploy: flag(&written.deploy, defaults.ecs),
    })
}

/// Tasks of the local cloud are processes on this machine's Python.
fn base_of(defaults: Defaults, python: PythonMinor) -> BaseImage {
    if defaults.ecs && defaults.local { BaseImage::Scratch } else { BaseImage::official(python) }
}

/// Reports what keeps tasks on ECS from the image.
fn tasks_can_run_it(
    written: &file::Image,
    tasks: Option<Architecture>,
    architectures: &[Architecture],
    problems: &mut Problems,
) {
    if let Some(deploy) = written.deploy.as_ref().filter(|deploy| !deploy.value) {
        let hint = "remove it: on ECS every deployment brings the image along";
        problems.conflict(&deploy.location, "on ECS, all components run from the image", hint);
    }
    if let Some(location) = at(&written.repository) {
        let message = "tasks on ECS have no login for another registry than that of the account";
        problems.conflict(location, message, "remove it, to use the repository `ductwork` of the account");
    }
    if let (Some(location), Some(tasks)) = (at(&written.architectures), tasks)
        && !architectures.contains(&tasks)
    {
        let message = format!("the image would not be for {tasks}, on which the tasks run");
        let hint = format!("add `\"{tasks}\"`, or set `hosts.architecture` to what is listed");
        problems.conflict(location, message, hint);
    }
}
