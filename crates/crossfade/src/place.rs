//! `where`: which system a key goes to, asked of the running proxy or read from a file.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use config_file::MigrationConfig;
use control_plane::Where;
use serde_json::Value;

use crate::api::{Api, CallError, encode};
use crate::cli::{AdminArgs, WhereArgs};
use crate::output::{self, Exit};

pub(crate) fn place(args: &WhereArgs) -> Exit {
    let answer = match &args.config {
        Some(config) => from_file(config, &args.name, args.key.as_bytes()),
        None => from_proxy(args),
    };
    match answer {
        Ok(answer) if args.json => output::say_line(&format!("{answer:#}")),
        Ok(answer) => output::say_line(&format!(
            "{} ({})",
            answer["arm"].as_str().unwrap_or_default(),
            answer["explanation"].as_str().unwrap_or_default()
        )),
        Err(error) => return error.tell(),
    }
    Exit::Done
}

fn from_proxy(args: &WhereArgs) -> Result<Value, CallError> {
    let admin = AdminArgs {
        admin: args.admin.clone(),
        token_file: args.token_file.clone(),
        config: default_config(),
    };
    let (name, key) = (encode(args.name.as_bytes()), encode(args.key.as_bytes()));
    Api::find(&admin)?.get(&format!("/api/v1/migrations/{name}/where?key={key}"))
}

/// For the address of the API only; `--config` means something else here.
fn default_config() -> Option<std::path::PathBuf> {
    std::env::var_os("CROSSFADE_CONFIG").map(Into::into)
}

/// What the file alone says.
fn from_file(config: &Path, name: &str, key: &[u8]) -> Result<Value, CallError> {
    let loaded = control_plane::load(config).map_err(|error| match error {
        control_plane::LoadError::Bad(bad) => CallError::Usage(format!("{}\n{}", bad.summary, bad.rendered)),
        unreadable => CallError::Usage(unreadable.to_string()),
    })?;
    let snapshot = loaded.checked.snapshot(0, &|name| {
        let file = loaded.checked.migration(name).map(MigrationConfig::standing);
        file.unwrap_or(config_file::Standing {
            asked: traffic_split::Percent::ZERO,
            phase: route_plan::Phase::Preparation,
        })
    });
    let migration = snapshot.migrations.iter().find(|migration| migration.name == name).ok_or_else(|| {
        CallError::Refused(format!("there is no migration `{name}` in {}", config.display()))
    })?;
    Ok(admin_api::where_json(&Where::of(migration, key)))
}
