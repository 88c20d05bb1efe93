//! scratch
mod allowance;
mod budget;
mod desk;
mod health;
mod inquiry;
mod looking;
mod settings;
mod zero;
#[cfg(test)]
mod scripted;
