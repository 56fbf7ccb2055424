//! `package`: the templates with their children's addresses in, named by content.

use crate::doors::fs;
use crate::fail::Result;
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::text::count;
use crate::plan::templates::Packaged;
use crate::report::Told;
use crate::report::table::table;
use crate::session::project::Project;
use crate::session::templates;
use crate::ui::{EnvArg, Ui};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Package the templates into a folder, as a deployment would upload them.
///
/// Nothing is sent; `deploy` uploads what is not there yet.
///
/// Example: cargo xtask package --env dev
#[derive(Args, Debug)]
pub struct Package {
    #[command(flatten)]
    pub env: EnvArg,
}

#[derive(Serialize)]
struct Document {
    templates: Vec<Entry>,
    folder: PathBuf,
}

#[derive(Serialize)]
struct Entry {
    path: String,
    digest: Digest,
    url: String,
    bytes: usize,
}

pub fn run(args: &Package, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env.env)?;
    let (packaged, _) = templates::packaged(&project.root, &environment)?;
    let folder = project.state().join("cache/templates");
    for template in &packaged {
        fs::write(&folder.join(format!("{}.yaml", template.digest)), template.body.as_bytes())?;
    }
    let (region, bucket) = (environment.aws.region.as_str(), environment.artifact_bucket());
    let entry = |template: Packaged| Entry {
        url: names::template_url(None, region, &bucket, &template.digest),
        bytes: template.body.len(),
        path: template.path,
        digest: template.digest,
    };
    let templates: Vec<Entry> = packaged.into_iter().map(entry).collect();
    ui.show(&Told { text: text(&templates, &folder), document: Document { templates, folder } });
    Ok(())
}

fn text(templates: &[Entry], folder: &Path) -> String {
    let row = |entry: &Entry| vec![entry.path.clone(), entry.digest.short(), entry.bytes.to_string()];
    let rows: Vec<Vec<String>> = templates.iter().map(row).collect();
    let table = table(&["template", "digest", "bytes"], &rows);
    format!("{table}\n{} in {}\n", count(templates.len(), "template"), folder.display())
}
