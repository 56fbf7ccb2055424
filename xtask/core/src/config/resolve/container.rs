//! What images are made of.

use super::check::flag;
use crate::config::environment::Container;
use crate::config::file;
use crate::config::problems::{Problems, Reported};
use crate::config::values::{Architecture, BaseImage, ImageRepository, Interpreter, Package, PythonMinor};

/// As many as on hosts.
const MOST_PACKAGES: usize = 40;

/// `hosts` is the architecture of the environment's hosts.
pub fn container(
    written: &file::Image,
    hosts: Architecture,
    problems: &mut Problems,
) -> Result<Container, Reported> {
    let python = problems.choice(&written.python.0, PythonMinor::parse, PythonMinor::default());
    let base = problems.text(&written.base, BaseImage::parse);
    let interpreter = problems.text(&written.interpreter, Interpreter::parse);
    let repository = problems.text(&written.repository, ImageRepository::parse);
    let mut architectures = problems.texts(&written.architectures, 2, Architecture::parse);
    if architectures.is_empty() {
        architectures.push(hosts);
    }
    let packages = problems.texts(&written.packages, MOST_PACKAGES, Package::parse);
    let python = python?;
    Ok(Container {
        base: base?.unwrap_or_else(|| BaseImage::official(python)),
        python,
        interpreter: interpreter?.unwrap_or_else(|| Interpreter::official(python)),
        architectures,
        repository: repository?,
        packages,
        deploy: flag(&written.deploy, false),
    })
}
