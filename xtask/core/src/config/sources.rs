//! Which files of the project go into the releases of an environment.

use super::Environment;
use super::external::Origin;

impl Environment {
    /// Files and folders, as git names them (<https://git-scm.com/docs/gitglossary>, "pathspec"). A note beside them
    /// or a test is no part of a release.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let fixed = ["plugins", "airflow", ":(exclude)airflow/tests", "templates/*.yaml"];
        let mut files: Vec<String> = fixed.map(str::to_owned).into();
        if self.dags.git.is_none() {
            files.push("dags".to_owned());
        }
        files.extend(self.own_files());
        files.extend(self.external.iter().filter_map(|task| match &task.origin {
            Origin::Folder(folder) => Some(folder.to_string()),
            Origin::Image(_) => None,
        }));
        files
    }

    /// Those of the environment half alone, which is made of this tree also for a release that is promoted.
    #[must_use]
    pub fn own_files(&self) -> Vec<String> {
        let mut files = vec![format!("environments/{}.toml", self.name), "airflow/objects.toml".to_owned()];
        files.extend(self.policies().into_iter().map(|(_, path)| path.to_string()));
        files.extend(self.additional.templates.as_ref().map(ToString::to_string));
        files
    }
}

#[cfg(test)]
mod tests {
    use crate::config::resolve;

    #[test]
    fn what_goes_into_a_release_and_nothing_beside_it() {
        let files = |more: &str| {
            let text = format!("aws.endpoint = 'local'\n{more}");
            resolve("local", &text, "environments/local.toml").unwrap().files()
        };
        let plain = files("");
        for file in ["dags", "plugins", "airflow", "templates/*.yaml", "environments/local.toml"] {
            assert!(plain.iter().any(|one| one == file), "{file}");
        }
        let added =
            files("[additional]\ntemplates = 'more'\n[workers.default]\npolicies = ['policies/a.json']\n");
        assert_eq!(added[plain.len()..], ["policies/a.json", "more"]);
        let elsewhere = files("[dags.git]\nurl = 'https://git.example.com/dags.git'\nref = 'main'\n");
        assert!(!elsewhere.contains(&"dags".to_owned()));
    }
}
