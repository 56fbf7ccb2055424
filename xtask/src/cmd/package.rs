//! `package`: the templates with their children's addresses in, named by content.

use super::project::{EnvArg, Project};
use super::stacks::{self, Place};
use super::ui::Ui;
use crate::doors::fs;
use crate::fail::Result;
use crate::model::text::count;
use crate::report::table::table;
use clap::Args;
use serde_json::json;

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

pub fn run(args: &Package, ui: &Ui) -> Result<()> {
    let project = Project::find()?;
    let environment = project.environment(&args.env)?;
    let place = Place {
        endpoint: None,
        region: environment.aws.region.to_string(),
        bucket: environment.artifact_bucket(),
    };
    let (templates, _) = stacks::packaged(&project.root, &environment, &place)?;
    let folder = project.state().join("cache/templates");
    for template in &templates {
        fs::write(&folder.join(format!("{}.yaml", template.digest)), template.body.as_bytes())?;
    }
    let rows: Vec<Vec<String>> =
        templates.iter().map(|t| vec![t.path.clone(), t.digest.short(), t.body.len().to_string()]).collect();
    let text = format!(
        "{}\n{} in {}\n",
        table(&["template", "digest", "bytes"], &rows),
        count(templates.len(), "template"),
        folder.display()
    );
    let entries: Vec<_> = templates
        .iter()
        .map(|t| json!({ "path": t.path, "digest": t.digest, "url": t.url, "bytes": t.body.len() }))
        .collect();
    ui.data(&text, &json!({ "templates": entries, "folder": folder }));
    Ok(())
}
