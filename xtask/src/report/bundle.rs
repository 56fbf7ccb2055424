//! A finished bundle.

use super::Output;
use crate::model::bundle::Bundle;
use crate::model::text::{bytes, count};
use serde::Serialize;

/// What `bundle-dags` made.
#[derive(Debug, Serialize)]
pub struct Made {
    #[serde(flatten)]
    pub bundle: Bundle,
    /// Absent if no upload was asked for.
    pub uploaded: Option<bool>,
}

impl Output for Made {
    fn text(&self) -> String {
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

    #[test]
    fn people_see_digest_size_and_location() {
        let digest = Digest::of(b"abc");
        let text = |uploaded| Made { bundle: bundle(), uploaded }.text();
        let first = format!("bundle  {digest}\nholds   3 files, 4.2 kB\nzip     1.3 kB in /p/x.zip\n");
        assert_eq!(text(None), first);
        assert_eq!(text(Some(true)), format!("{first}upload  done\n"));
        assert_eq!(text(Some(false)), format!("{first}upload  not needed, it exists\n"));
    }

    fn json(uploaded: Option<bool>) -> serde_json::Value {
        serde_json::to_value(Made { bundle: bundle(), uploaded }).unwrap()
    }

    #[test]
    fn the_document_has_the_fields_of_the_contract() {
        let document = json(None);
        let mut keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["bytes", "digest", "files", "path", "uploaded", "zip_bytes"]);
        assert_eq!(document["digest"], Digest::of(b"abc").to_string());
        assert!(document["uploaded"].is_null());
        assert_eq!(json(Some(false))["uploaded"], false);
    }
}
