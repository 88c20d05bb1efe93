//! `reload`, `set`, `phase`, `rollback`, `resume` and what else changes something: asked of the running proxy.

use serde_json::{Value, json};

use crate::api::{Api, CallError, encode};
use crate::cli::{
    AdminArgs, PhaseArgs, ReloadArgs, RollbackArgs, SaidArgs, SetArgs, ShadowArgs, Switch, UndoArgs, WordArgs,
};
use crate::output::{self, Exit};

pub(crate) fn reload(args: &ReloadArgs) -> Exit {
    let body = json!({ "who": who(), "reason": args.reason });
    answer(&args.admin, "/api/v1/reload", &body, |answer| {
        let generation = &answer["generation"];
        if answer["changed"] == false {
            return (format!("nothing has changed, generation {generation} runs on\n"), Exit::Done);
        }
        let mut text = format!("applied as generation {generation}\n");
        lines(&mut text, "  ", &answer["effects"]);
        lines(&mut text, "  needs a restart: ", &answer["needs_restart"]);
        lines(&mut text, "  warning: ", &answer["warnings"]);
        (text, Exit::Done)
    })
}

pub(crate) fn set(args: &SetArgs) -> Exit {
    change(&args.name, "percent", &args.word, json!({ "percent": args.percent.as_f64() }), percent_set)
}

pub(crate) fn phase(args: &PhaseArgs) -> Exit {
    let what = json!({ "phase": args.phase.as_str() });
    change(&args.name, "phase", &args.word, what, |answer| (changed(answer), Exit::Done))
}

pub(crate) fn rollback(args: &RollbackArgs) -> Exit {
    let mut what = json!({ "now": args.now });
    if let Some(to) = &args.to {
        what["to"] = to.as_str().into();
    }
    change(&args.name, "rollback", &args.word, what, |answer| {
        let mut text = changed(answer);
        let migration = &answer["migration"];
        if let Some(latched) = migration["latched"]["sentence"].as_str() {
            let name = plain(&migration["name"]);
            text.push_str(&format!("{name}: {latched}\n`crossfade resume {name}` lifts it\n"));
        }
        (text, Exit::Done)
    })
}

pub(crate) fn resume(args: &SaidArgs) -> Exit {
    said(args, "resume")
}

/// What a person says of a migration without anything beside it.
pub(crate) fn said(args: &SaidArgs, what: &str) -> Exit {
    said_and(args, what, |answer| (changed(answer), Exit::Done))
}

/// Waits until the drill is over. One that did not go well fails.
pub(crate) fn drill(args: &SaidArgs) -> Exit {
    said_and(args, "drill", |answer| {
        let text = changed(answer);
        let exit = if text.contains("did not go well") { Exit::Failed } else { Exit::Done };
        (text, exit)
    })
}

/// Says how the shadow is after it, since a phase may have no copies although it is on.
pub(crate) fn shadow(args: &ShadowArgs) -> Exit {
    let on = args.switch == Switch::On;
    if args.anew && !on {
        output::complain("crossfade: `--anew` counts comparisons anew, and goes with `on`\n");
        return Exit::Usage;
    }
    change(&args.name, "shadow", &args.word, json!({ "on": on, "anew": args.anew }), |answer| {
        let migration = &answer["migration"];
        let mut text = changed(answer);
        if let Some(sentence) = migration["shadow"]["sentence"].as_str() {
            text.push_str(&format!("{}: shadow {sentence}\n", plain(&migration["name"])));
        }
        (text, Exit::Done)
    })
}

pub(crate) fn undo(args: &UndoArgs) -> Exit {
    change(&args.name, "undo", &args.word, json!({ "to": args.to }), percent_set)
}

fn said_and(args: &SaidArgs, what: &str, show: impl Fn(&Value) -> (String, Exit)) -> Exit {
    change(&args.name, what, &args.word, json!({}), show)
}

/// Asks for a change of a migration, with who asks for it and why beside `what`.
fn change(
    name: &str,
    path: &str,
    word: &WordArgs,
    mut what: Value,
    show: impl Fn(&Value) -> (String, Exit),
) -> Exit {
    let path = format!("/api/v1/migrations/{}/{path}", encode(name.as_bytes()));
    what["who"] = who().into();
    what["reason"] = word.reason.as_deref().into();
    what["force"] = word.force.into();
    answer(&word.admin, &path, &what, show)
}

fn answer(admin: &AdminArgs, path: &str, body: &Value, show: impl Fn(&Value) -> (String, Exit)) -> Exit {
    let asked = Api::find(admin).and_then(|api| api.post(path, body));
    match asked {
        Ok(answer) => {
            let (text, exit) = show(&answer);
            output::say(&text);
            exit
        }
        Err(error) => CallError::tell(&error),
    }
}

/// What changed, after the word that it is not in force if something overrules it: then the command has not done what
/// was asked.
fn percent_set(answer: &Value) -> (String, Exit) {
    let migration = &answer["migration"];
    let percent = &migration["percent"];
    if percent["asked"] == percent["in_force"] {
        return (changed(answer), Exit::Done);
    }
    let name = plain(&migration["name"]);
    let way = match (migration["latched"].is_null(), plain(&migration["phase"])) {
        (false, _) => format!("; `crossfade resume {name}` brings it into force"),
        // A drill ends and a calendar opens by themselves.
        (true, "canary") => String::new(),
        (true, _) => format!("; `crossfade phase {name} canary` brings it into force"),
    };
    let text = format!(
        "NOT in force: {name}: {} % is asked for, {} % is in force: {}{way}\n{}",
        number(&percent["asked"]),
        number(&percent["in_force"]),
        plain(&migration["why"]),
        changed(answer)
    );
    (text, Exit::Failed)
}

fn changed(answer: &Value) -> String {
    let mut text = String::new();
    lines(&mut text, "", &answer["effects"]);
    if text.is_empty() {
        text.push_str("nothing changes\n");
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
                "name": "shop", "phase": "shadow",
                "why": "phase shadow: all users get old",
                "percent": { "asked": 25.0, "in_force": 0.0 }
            }
        });
        let (text, exit) = percent_set(&answer);
        assert_eq!(
            text,
            "NOT in force: shop: 25 % is asked for, 0 % is in force: phase shadow: all users get old; \
             `crossfade phase shop canary` brings it into force\n\
             shop: 25 % is asked for instead of 5 %, by a person\n"
        );
        assert_eq!(exit, Exit::Failed);
    }

    #[test]
    fn a_change_that_waits_for_the_calendar_has_no_way_round_it() {
        let why = "the calendar is closed, and 15 % wait until it opens";
        let answer = json!({
            "effects": [],
            "migration": {
                "name": "shop", "phase": "canary", "why": why, "percent": { "asked": 15.0, "in_force": 5.0 }
            }
        });
        let expected =
            format!("NOT in force: shop: 15 % is asked for, 5 % is in force: {why}\nnothing changes\n");
        assert_eq!(percent_set(&answer).0, expected);
    }

    #[test]
    fn a_change_in_force_says_no_more() {
        let answer = json!({ "effects": [], "migration": { "percent": { "asked": 5.0, "in_force": 5.0 } } });
        assert_eq!(percent_set(&answer), ("nothing changes\n".to_owned(), Exit::Done));
    }

    #[test]
    fn somebody_asks() {
        assert!(who().contains('@') && who().len() <= 512);
    }
}
