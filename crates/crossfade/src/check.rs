//! `check` and `schema`: what can be said about a configuration without running it.

use std::io;

use crate::cli::{CheckArgs, CheckFormat};
use crate::output::{self, Exit};

pub(crate) fn check(args: &CheckArgs) -> Exit {
    let path = args.path.as_ref().unwrap_or(&args.config);
    let outcome = match control_plane::read(path) {
        Ok(outcome) => outcome,
        Err(error) => {
            output::complain(&format!("crossfade: {error}"));
            return Exit::Usage;
        }
    };
    let exit = if outcome.checked.is_some() { Exit::Done } else { Exit::Usage };
    match (args.format, exit) {
        (CheckFormat::Json, _) => output::say_line(&format!("{:#}", outcome.to_json())),
        (CheckFormat::Text, Exit::Done) => output::say(&outcome.render(output::is_colourful(&io::stdout()))),
        (CheckFormat::Text, _) => output::complain(&outcome.render(output::is_colourful(&io::stderr()))),
    }
    exit
}

pub(crate) fn schema() -> Exit {
    output::say_line(&format!("{:#}", config_file::schema()));
    Exit::Done
}
