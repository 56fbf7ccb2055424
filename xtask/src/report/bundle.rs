//! A finished bundle.

use super::{Output, dags, markdown};
use crate::model::bundle::Bundle;
use crate::model::dags::DagDiff;
use crate::model::text::{bytes, count};
use serde::Serialize;

/// What `bundle-dags` made.
#[derive(Debug, Serialize)]
pub struct Made {
    #[serde(flatten)]
    pub bundle: Bundle,
    #[serde(skip)]
    pub environment: Option<String>,
    /// Absent if no upload was asked for.
    pub uploaded: Option<bool>,
    /// What becomes of the DAGs of that environment.
    pub dags: Option<DagDiff>,
}

impl Output for Made {
    fn text(&self) -> String {
        format!("{}{}", self.bundle_rows(), self.diff(dags::text))
    }

    fn markdown(&self) -> String {
        let diff = self.diff(|diff, environment| {
            let (rows, notes) = dags::markdown(diff, environment);
            let mut out = "\n".to_owned();
            markdown::rows(&mut out, &rows);
            if rows.is_empty() { notes } else { out + &notes }
        });
        format!("{}{diff}", markdown::block(&self.bundle_rows()))
    }
}

impl Made {
    fn diff(&self, told: impl Fn(&DagDiff, &str) -> String) -> String {
        self.dags
            .as_ref()
            .zip(self.environment.as_ref())
            .map_or_else(String::new, |(diff, env)| told(diff, env))
    }

    fn bundle_rows(&self) -> String {
        let Bundle { digest, path, files, bytes: raw, zip_bytes } = &self.bundle;
        let files = count(usize::try_from(*files).unwrap_or(usize::MAX), "file");
        let upload = match self.uploaded {
            Some(true) => "upload  done\n",
            Some(false) => "upload  not needed, it exists\n",
            None => "",
        };
        let (raw, zipped) = (bytes(*raw), bytes(*zip_bytes));
        format!("bundle  {digest}\nholds   {files}, {raw}\nzip     {zipped} in {}\n{upload}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    fn bundle() -> Bundle {
        let path = "/p/x.zip".into();
        Bundle { digest: Digest::of(b"abc"), path, files: 3, bytes: 4_200, zip_bytes: 1_300 }
    }

    fn made(uploaded: Option<bool>, dags: Option<DagDiff>) -> Made {
        Made { bundle: bundle(), environment: dags.as_ref().map(|_| "dev".to_owned()), uploaded, dags }
    }

    #[test]
    fn the_dags_that_change_are_told_in_each_form() {
        let made = made(Some(true), Some(dags::tests::everything()));
        assert!(made.text().contains("upload  done\nDAGs     added: orders"), "{}", made.text());
        let page = made.markdown();
        assert!(page.contains("```\n\n| | |\n|---|---|\n| DAGs added | `orders`"), "{page}");
        assert!(page.contains("\n> DAG `orders`"), "{page}");
        assert_eq!(serde_json::to_value(made).unwrap()["dags"]["added"], serde_json::json!(["orders"]));
    }

    #[test]
    fn people_see_digest_size_and_location() {
        let digest = Digest::of(b"abc");
        let text = |uploaded| made(uploaded, None).text();
        let first = format!("bundle  {digest}\nholds   3 files, 4.2 kB\nzip     1.3 kB in /p/x.zip\n");
        assert_eq!(text(None), first);
        assert_eq!(text(Some(true)), format!("{first}upload  done\n"));
        assert_eq!(text(Some(false)), format!("{first}upload  not needed, it exists\n"));
    }

    fn json(uploaded: Option<bool>) -> serde_json::Value {
        serde_json::to_value(made(uploaded, None)).unwrap()
    }

    #[test]
    fn the_document_has_the_fields_of_the_contract() {
        let document = json(None);
        let mut keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["bytes", "dags", "digest", "files", "path", "uploaded", "zip_bytes"]);
        assert_eq!(document["digest"], Digest::of(b"abc").to_string());
        assert!(document["uploaded"].is_null());
        assert_eq!(json(Some(false))["uploaded"], false);
    }
}
