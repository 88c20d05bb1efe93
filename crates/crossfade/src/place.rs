//! `where`: which system a key goes to, asked of the running proxy or read from a file.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use config_file::MigrationConfig;
use control_plane::Where;
use serde_json::Value;

use crate::api::{Api, CallError, encode};
use crate::cli::WhereArgs;
use crate::output::{self, Exit};

/// The member of an answer that says on what little it rests.
const NOTE: &str = "note";

pub(crate) fn place(args: &WhereArgs) -> Exit {
    let answer = match &args.offline {
        Some(file) => from_file(file, &args.name, args.key.as_bytes()),
        None => from_proxy(args),
    };
    match answer {
        Ok(answer) if args.json => output::say_line(&format!("{answer:#}")),
        Ok(answer) => {
            let text = |member: &str| answer[member].as_str();
            let (arm, why) = (text("arm").unwrap_or_default(), text("explanation").unwrap_or_default());
            output::say_line(&format!("{arm} ({why})"));
            if let Some(note) = text(NOTE) {
                output::say_line(note);
            }
        }
        Err(error) => return error.tell(),
    }
    Exit::Done
}

fn from_proxy(args: &WhereArgs) -> Result<Value, CallError> {
    let (name, key) = (encode(args.name.as_bytes()), encode(args.key.as_bytes()));
    Api::find(&args.admin)?.get(&format!("/api/v1/migrations/{name}/where?key={key}"))
}

/// The configuration in this file, all of it right.
pub(crate) fn load(config: &Path) -> Result<control_plane::Loaded, CallError> {
    control_plane::load(config).map_err(|error| match error {
        control_plane::LoadError::Bad(bad) => CallError::Usage(format!("{}\n{}", bad.summary, bad.rendered)),
        unreadable => CallError::Usage(unreadable.to_string()),
    })
}

/// The file knows no migration of this name.
pub(crate) fn no_such_migration(name: &str, config: &Path) -> CallError {
    CallError::Refused(format!("there is no migration `{name}` in {}", config.display()))
}

/// What the file alone says.
fn from_file(config: &Path, name: &str, key: &[u8]) -> Result<Value, CallError> {
    let loaded = load(config)?;
    let snapshot = loaded.checked.snapshot(0, &|name| {
        let file = loaded.checked.migration(name).map(MigrationConfig::standing);
        file.unwrap_or(config_file::Standing {
            asked: traffic_split::Percent::ZERO,
            phase: route_plan::Phase::Preparation,
            cap: traffic_split::Percent::FULL,
            shadow_off: false,
        })
    });
    let migration = snapshot.migrations.iter().find(|migration| migration.name == name);
    let migration = migration.ok_or_else(|| no_such_migration(name, config))?;
    let mut answer = admin_api::where_json(&Where::of(migration, key));
    answer[NOTE] = format!("by {} alone; what was set since is not known", config.display()).into();
    Ok(answer)
}
