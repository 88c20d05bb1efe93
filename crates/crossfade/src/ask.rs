//! `reload`, `set` and `phase`: changes asked of the running proxy.

use serde_json::{Value, json};

use crate::api::{Api, CallError, encode};
use crate::cli::{AdminArgs, PhaseArgs, ReloadArgs, SetArgs};
use crate::output::{self, Exit};

pub(crate) fn reload(args: &ReloadArgs) -> Exit {
    let body = json!({ "who": who(), "reason": args.reason });
    answer(&args.admin, "/api/v1/reload", &body, |answer| {
        let generation = &answer["generation"];
        if answer["changed"] == false {
            return format!("nothing has changed, generation {generation} runs on\n");
        }
        let mut text = format!("applied as generation {generation}\n");
        lines(&mut text, "  ", &answer["effects"]);
        lines(&mut text, "  needs a restart: ", &answer["needs_restart"]);
        lines(&mut text, "  warning: ", &answer["warnings"]);
        text
    })
}

pub(crate) fn set(args: &SetArgs) -> Exit {
    let path = format!("/api/v1/migrations/{}/percent", encode(args.name.as_bytes()));
    let body = json!({ "percent": args.percent.as_f64(), "who": who(), "reason": args.reason });
    answer(&args.admin, &path, &body, changed)
}

pub(crate) fn phase(args: &PhaseArgs) -> Exit {
    let path = format!("/api/v1/migrations/{}/phase", encode(args.name.as_bytes()));
    let body = json!({ "phase": args.phase.as_str(), "who": who(), "reason": args.reason });
    answer(&args.admin, &path, &body, changed)
}

fn answer(admin: &AdminArgs, path: &str, body: &Value, show: impl Fn(&Value) -> String) -> Exit {
    let asked = Api::find(admin).and_then(|api| api.post(path, body));
    match asked {
        Ok(answer) => {
            output::say(&show(&answer));
            Exit::Done
        }
        Err(error) => CallError::tell(&error),
    }
}

/// What changed, and what is therefore in force, since the phase may overrule the percentage.
fn changed(answer: &Value) -> String {
    let mut text = String::new();
    lines(&mut text, "", &answer["effects"]);
    if text.is_empty() {
        text.push_str("nothing changes\n");
    }
    let (migration, percent) = (&answer["migration"], &answer["migration"]["percent"]);
    if percent["asked"] != percent["in_force"] {
        text.push_str(&format!(
            "{}: {} % is asked for, {} % is in force, since it is in {}\n",
            plain(&migration["name"]),
            number(&percent["asked"]),
            number(&percent["in_force"]),
            plain(&migration["why"])
        ));
    }
    text
}

fn lines(text: &mut String, lead: &str, list: &Value) {
    for line in list.as_array().into_iter().flatten() {
        text.push_str(&format!("{lead}{}\n", plain(line)));
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Who asks: the user of this terminal, the one behind `sudo` if there is one, at this machine.
fn who() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let who = format!("{}@{machine}", user.as_deref().unwrap_or("somebody"));
    who.chars().filter(|letter| !letter.is_control()).take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_the_phase_overrules_says_so() {
        let answer = json!({
            "effects": ["shop: 25 % is asked for instead of 5 %, by a person"],
            "migration": {
                "name": "shop",
                "why": "phase shadow: all users get old",
                "percent": { "asked": 25.0, "in_force": 0.0 }
            }
        });
        assert_eq!(
            changed(&answer),
            "shop: 25 % is asked for instead of 5 %, by a person\n\
             shop: 25 % is asked for, 0 % is in force, since it is in phase shadow: all users get old\n"
        );
    }

    #[test]
    fn somebody_asks() {
        assert!(who().contains('@') && who().len() <= 512);
    }
}
