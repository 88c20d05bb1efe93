//! The one owner of what is asked for and what is in force.
//!
//! One task owns the running configuration and every migration's intents. It waits for an event of a closed list,
//! applies it to the end, and waits again; so there are no locks and no half-applied states, and two reloads never
//! run into each other. Files are read beside it, so that a disk that hangs delays reloads alone. What it decides it
//! publishes as one immutable [`route_plan::Snapshot`] that the workers load, and as one [`Status`] that everybody may
//! read; neither can be seen half done.
//!
//! A file is taken whole or refused whole: it is read, checked, compared with what runs, its listeners are opened,
//! and only then is anything changed. See [`load`] for the first configuration, [`Controller`] for the rest.
//!
//! What has to outlive a restart is in a journal, if the file names a directory for it: see [`Controller::open`]. A
//! rollback is in force before the journal has it and told of when it does; a step forward is in the journal before it
//! is in force. Without a journal a restart begins with what the file says.

mod book;
mod change;
mod controller;
mod departed;
mod drains;
mod event;
mod fallbacks;
mod follows;
mod guarding;
mod handle;
mod hooks;
mod journal;
mod lineages;
mod listeners;
mod lookout;
mod measure;
mod reload;
mod shadowing;
mod source;
mod stakes;
mod status;
mod verifying;
mod watch;

pub use config_file::{Diagnostic, Severity};
pub use controller::{Control, Controller, Settings, StartError};
pub use event::{Actor, Cause, Place};
pub use follows::Follows;
pub use handle::{Changed, ControlError, ControlHandle, Reloaded, Where};
pub use journal::{JournalError, Verified, verify as verify_journal};
pub use listeners::{Bound, ListenError, Listeners};
pub use source::{BadConfig, LoadError, Loaded, MAX_CONFIG_BYTES, MAX_KEY_FILE_BYTES, load, read, resolve};
pub use status::{
    ArmStatus, EndpointStatus, FallbackStatus, GuardStatus, HookStatus, LastChange, LatchStatus,
    MigrationStatus, Plan, PlannedStep, RampStatus, ReloadStatus, ShadowState, ShadowStatus, StateStatus,
    Status,
};
