//! Names of images, and the Python that is in one.

use crate::config::problems::Refusal;
use crate::model::python::MINORS;
use oci_spec::distribution::{ParseError, Reference};
use std::fmt;

/// What the layers of an image are put on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseImage {
    /// Nothing, by the word of Dockerfiles: for tasks of the local cloud, which run on this machine's Python.
    Scratch,
    /// An image that exists: `registry/repository` with a tag or a digest.
    Named(Reference),
}

/// Where images of this project are kept: `registry/repository`, without a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRepository(Reference);

/// An image that somebody else has made, by its tag or digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignImage(Reference);

const SCRATCH: &str = "scratch";

/// The version of Python in an image: `3.12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonMinor(u32);

/// The path of a Python in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter(String);

/// The name of a Python package, as lock files write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution(String);

impl BaseImage {
    /// The official image of a version of Python.
    #[must_use]
    pub fn official(python: PythonMinor) -> Self {
        let tag = format!("{python}-slim-bookworm");
        Self::Named(Reference::with_tag("docker.io".to_owned(), "library/python".to_owned(), tag))
    }

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text == SCRATCH {
            return Ok(Self::Scratch);
        }
        let reference = reference(text, "an image")?;
        if text.rsplit('/').next().is_some_and(|last| !last.contains([':', '@'])) {
            let message = format!("`{text}` names neither a tag nor a digest");
            return Err(Refusal::new(message, format!("add one, for instance `{text}:3.12-slim-bookworm`")));
        }
        Ok(Self::Named(reference))
    }

    /// As people know it: with its tag, without its digest.
    #[must_use]
    pub fn name(&self) -> String {
        let Self::Named(reference) = self else { return SCRATCH.to_owned() };
        let name = reference.whole();
        name.split_once('@').map_or(name.clone(), |(name, _)| name.to_owned())
    }
}

impl ForeignImage {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let reference = reference(text, "an image")?;
        if text.rsplit('/').next().is_some_and(|last| !last.contains([':', '@'])) {
            let hint =
                format!("add one, for instance `{text}:1.2`; only a digest is certain to stay the same");
            return Err(Refusal::new(format!("`{text}` names neither a tag nor a digest"), hint));
        }
        Ok(Self(reference))
    }

    /// The one of Valkey's makers, of the version that ElastiCache runs.
    #[must_use]
    pub fn valkey() -> Self {
        let [registry, repository, tag] = ["public.ecr.aws", "valkey/valkey", "8.1.10"].map(str::to_owned);
        Self(Reference::with_tag(registry, repository, tag))
    }

    /// With its registry, and with the digest if it names one.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.0
    }

    /// The repository in ECR that it is in, as account, region and name; none if it is elsewhere.
    #[must_use]
    pub fn in_ecr(&self) -> Option<[&str; 3]> {
        let (account, rest) = self.0.registry().split_once(".dkr.ecr.")?;
        let (region, _) = rest.split_once(".amazonaws.com")?;
        Some([account, region, self.0.repository()])
    }
}

impl ImageRepository {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let reference = reference(text, "a repository")?;
        if text.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) {
            let hint = "name the repository alone: the tool chooses the tag from what is in the image";
            return Err(Refusal::new(format!("`{text}` names a tag or a digest"), hint));
        }
        Ok(Self(reference))
    }

    /// The image with this tag.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Reference {
        let Self(name) = self;
        Reference::with_tag(name.registry().to_owned(), name.repository().to_owned(), tag.to_owned())
    }

    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }
}

impl fmt::Display for ImageRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.registry(), self.0.repository())
    }
}

fn reference(text: &str, what: &str) -> Result<Reference, Refusal> {
    Reference::try_from(text).map_err(|error| {
        let hint = match error {
            ParseError::NameContainsUppercase => "use lower-case letters",
            _ => "write it as `docker pull` takes it, such as `docker.io/library/python`",
        };
        Refusal::new(format!("`{text}` is not the name of {what}"), hint)
    })
}

impl PythonMinor {
    /// That of a whole version, such as `3.12.4`.
    #[must_use]
    pub fn of(version: &str) -> Option<Self> {
        let (minor, _) = version.rsplit_once('.')?;
        Self::parse(minor).ok()
    }

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let minor = text.strip_prefix("3.").and_then(|minor| minor.parse().ok());
        match minor {
            Some(minor) if MINORS.contains(&minor) && text == format!("3.{minor}") => Ok(Self(minor)),
            _ => Err(Refusal::new(
                format!("`{text}` is not a version of Python that Airflow runs on"),
                format!(
                    "use one from `3.{}` to `3.{}`, without a third number",
                    MINORS.start(),
                    MINORS.end()
                ),
            )),
        }
    }
}

impl Interpreter {
    /// Where official images have theirs.
    #[must_use]
    pub fn official(python: PythonMinor) -> Self {
        Self(format!("/usr/local/bin/python{python}"))
    }

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        };
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(plain) => Ok(Self(text.to_owned())),
            _ => Err(Refusal::new(
                format!("`{text}` is not the path of a program"),
                "write the whole path, such as `/usr/bin/python3.12`",
            )),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Distribution {
    /// However it is written, its name is one (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let between = |c: char| "._-".contains(c);
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || between(c));
        if text.is_empty() || !plain || text.starts_with(between) || text.ends_with(between) {
            let hint =
                "use the name of a Python package alone, such as `mysqlclient`; its version is in the lock";
            return Err(Refusal::new(format!("invalid name of a Python package: `{text}`"), hint));
        }
        let parts: Vec<&str> = text.split(between).filter(|part| !part.is_empty()).collect();
        Ok(Self(parts.join("-").to_lowercase()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for PythonMinor {
    fn default() -> Self {
        Self(12)
    }
}

impl fmt::Display for PythonMinor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_have_a_tag_or_a_digest_and_repositories_have_none() {
        let digest = format!("public.ecr.aws/docker/library/python@sha256:{}", "0a".repeat(32));
        for good in ["python:3.12-slim", "localhost:5000/base:1", &digest] {
            BaseImage::parse(good).unwrap();
        }
        for bad in ["python", "localhost:5000/base", "python:", "a b:1", "python@sha256:12", ""] {
            BaseImage::parse(bad).unwrap_err();
        }
        let official = BaseImage::parse("python:3.12-slim").unwrap();
        assert_eq!(official.name(), "docker.io/library/python:3.12-slim");

        let repository = ImageRepository::parse("localhost:5000/data/airflow").unwrap();
        assert_eq!(repository.to_string(), "localhost:5000/data/airflow");
        assert_eq!(repository.tagged("0a1b").whole(), "localhost:5000/data/airflow:0a1b");
        for bad in ["acme/airflow:1", "acme/Airflow", "https://acme/airflow", "acme/airflow/"] {
            ImageRepository::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn an_interpreter_is_a_whole_path() {
        assert_eq!(
            Interpreter::parse("/opt/python/bin/python3").unwrap().as_str(),
            "/opt/python/bin/python3"
        );
        for bad in ["python3", "/", "/usr//python3", "/usr/../python3", "/usr/bin/python 3", ""] {
            Interpreter::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn a_python_package_has_one_name() {
        for text in ["apache-airflow-providers", "Apache_Airflow.Providers", "apache--airflow-.providers"] {
            assert_eq!(Distribution::parse(text).unwrap().as_str(), "apache-airflow-providers");
        }
        for bad in ["", "mysqlclient==2.3", "-r", "a b", "mysql[x]", "a-", "https://example.com/a.whl"] {
            Distribution::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn versions_of_python_have_two_numbers() {
        assert_eq!(PythonMinor::parse("3.13").unwrap().to_string(), "3.13");
        for bad in ["3.9", "3.15", "3.12.1", "3", "python3.12", "3.012", ""] {
            PythonMinor::parse(bad).unwrap_err();
        }
    }
}
