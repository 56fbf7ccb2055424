//! Wheels of locked packages that their makers publish as source alone, compiled by a stage of `airflow/Dockerfile`.
//!
//! Compilers and what packages are built with are in that stage only; of the image there are only the wheels.

use super::builder::{DOCKERFILE, Stage, Tool, plain};
use super::locked;
use super::packages::LOCKS;
use crate::config::{Architecture, Container, Distribution};
use crate::doors::{env, fs};
use crate::fail::{Context as _, Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use std::path::{Path, PathBuf};

/// What is compiled.
pub struct Wheels<'a> {
    pub root: &'a Path,
    pub cache: &'a Path,
    pub container: &'a Container,
    pub architecture: Architecture,
    /// By its digest.
    pub base: &'a str,
}

impl Wheels<'_> {
    /// Of everything that the wheels depend on, short of what their makers' build tools are today.
    ///
    /// # Errors
    /// A package to compile is not locked.
    pub fn key(&self) -> Result<Digest> {
        let dockerfile =
            fs::read(&self.root.join(DOCKERFILE)).map_err(|e| e.hint("restore the file from git"))?;
        let Self { container, architecture, base, .. } = self;
        let parts = serde_json::json!({
            "dockerfile": Digest::of(&dockerfile), "base": base, "architecture": architecture.as_str(),
            "packages": container.system_packages(), "compilers": container.compilers(),
            "interpreter": container.interpreter.as_str(), "locked": self.requirements()?,
        });
        Ok(Digest::of(parts.to_string().as_bytes()))
    }

    /// Each package with its wheel in `<cache>/wheels/`, made if it is not there.
    pub fn made(&self, sink: &Sink) -> Result<Vec<(&Distribution, PathBuf)>> {
        let folder = self.cache.join("wheels").join(self.key()?.to_string());
        let _turn = fs::lock(&folder.with_extension("lock"))?;
        if !fs::exists(&folder) {
            let scratch = fs::scratch_dir(self.cache)?;
            let made = self.build(scratch.path(), sink)?;
            self.chosen(&made)?;
            fs::rename(&made, &folder)?;
        }
        self.chosen(&folder)
    }

    fn build(&self, scratch: &Path, sink: &Sink) -> Result<PathBuf> {
        let tool = Tool::find(self.container.builder)?;
        sink.progress(format!("compiling {} for {} with {}", self.names(), self.architecture, tool.name()));
        let (context, wheels) = (scratch.join("context"), scratch.join("wheels"));
        fs::write(&context.join("requirements.txt"), self.requirements()?.as_bytes())?;
        let certificates = env::certificates().map(|file| fs::read(&file)).transpose()?;
        fs::write(&context.join("certificates.pem"), &certificates.unwrap_or_default())?;
        let stage = Stage {
            name: "wheels",
            root: self.root,
            architecture: self.architecture,
            base: self.base,
            arguments: vec![
                ("PACKAGES", self.container.system_packages()),
                ("BUILD_PACKAGES", self.container.compilers()),
                ("PYTHON", self.container.interpreter.as_str().to_owned()),
            ],
            context: &context,
            tag: format!("ductwork-wheels:{}-{}", self.key()?.short(), self.architecture),
        };
        let layers = tool.build(&stage, scratch, 0).map_err(explained)?;
        let unread = || "the stage `wheels` has no files that can be read".to_owned();
        for layer in layers {
            tar::Archive::new(plain(&layer)?).unpack(&wheels).failed(unread)?;
        }
        Ok(wheels)
    }

    /// What pip is to build: versions and checksums as they are locked, from source.
    fn requirements(&self) -> Result<String> {
        let mut locks = String::new();
        for file in LOCKS {
            let text = fs::read_to_string(&self.root.join(file));
            locks.push_str(&text.map_err(|e| e.hint("restore the file from git"))?);
            locks.push('\n');
        }
        let found = self.container.compile.iter().map(|package| (package, locked::of(&locks, package)));
        let (absent, found): (Vec<_>, Vec<_>) = found.partition(|(_, entry)| entry.is_empty());
        if absent.is_empty() {
            let lines = found.into_iter().map(|(package, entry)| format!("--no-binary {package}\n{entry}"));
            return Ok(lines.collect());
        }
        let names: Vec<String> = absent.iter().map(|(package, _)| format!("`{package}`")).collect();
        Err(Fail::usage(format!("`image.compile` names {}, which is not locked", names.join(", ")))
            .cause(format!("it is neither in {}", LOCKS.join(" nor in ")))
            .hint("add it to airflow/requirements.in, then run: cargo xtask lock")
            .hint("or remove it from `image.compile` in the environment file"))
    }

    fn names(&self) -> String {
        self.container.compile.iter().map(Distribution::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The wheel of each package.
    fn chosen(&self, folder: &Path) -> Result<Vec<(&Distribution, PathBuf)>> {
        let files = fs::list(folder)?;
        let of = |package: &Distribution| files.iter().find(|file| is_of(file, package)).cloned();
        let mut wheels = Vec::new();
        for package in &self.container.compile {
            let wheel = of(package).ok_or_else(|| without(package))?;
            wheels.push((package, wheel));
        }
        Ok(wheels)
    }
}

/// The name of a wheel begins with that of its package
/// (<https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention>).
fn is_of(file: &Path, package: &Distribution) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_wheel = file.extension().is_some_and(|end| end == "whl");
    is_wheel
        && name.split_once('-').is_some_and(|(name, _)| Distribution::parse(name).as_ref() == Ok(package))
}

fn without(package: &Distribution) -> Fail {
    Fail::usage(format!("compiling `{package}` made no wheel"))
        .cause("its lock is for other systems, or the stage `wheels` no longer copies what pip has built")
        .hint(format!("remove `{package}` from `image.compile`, or compare {DOCKERFILE} with the one in git"))
}

fn explained(fail: Fail) -> Fail {
    fail.hint(
        "name what the build lacks (pip, a compiler, header files) under image.build_packages in the environment file",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_known_by_its_name() {
        let package = Distribution::parse("my-package").unwrap();
        for (file, is) in [
            ("/x/my_package-1-cp311-cp311-linux_x86_64.whl", true),
            ("/x/My.Package-1-py3-none-any.whl", true),
            ("/x/my_package_two-1-py3-none-any.whl", false),
            ("/x/my_package-1.tar.gz", false),
        ] {
            assert_eq!(is_of(Path::new(file), &package), is, "{file}");
        }
    }
}
