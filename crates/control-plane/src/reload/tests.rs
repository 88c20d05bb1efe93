use config_file::NoFiles;

use super::*;

fn checked(head: &str, migrations: &str) -> Checked {
    let text = format!(
        "{head}
[[listener]]
listen = \"127.0.0.1:8080\"
[upstream.a]
endpoints = [\"http://127.0.0.1:1\"]
[upstream.b]
endpoints = [\"http://127.0.0.1:2\"]
[upstream.c]
endpoints = [\"http://127.0.0.1:3\"]
[route.rest]
match = [{{ path = \"/*\" }}]
to = \"c\"
{migrations}"
    );
    let outcome = config_file::parse(&text, "test.toml", &|_| None, &NoFiles);
    outcome.checked.clone().unwrap_or_else(|| panic!("{}", outcome.render(false)))
}

fn shop(name: &str, lines: &str) -> String {
    format!("[migration.{name}]\nmatch = [{{ path = \"/shop/*\" }}]\nold = \"a\"\nnew = \"b\"\n{lines}\n")
}

fn refusal(before: &str, after: &str) -> Option<String> {
    let (before, after) = (checked("", before), checked("", after));
    let (running, _) = read_file(&Intents::new(), &before);
    let (next, _) = read_file(&running, &after);
    reshuffle((&before, &running), (&after, &next)).map(|refusal| refusal.to_string())
}

#[test]
fn users_are_not_dealt_out_anew_by_accident() {
    let five = shop("shop", "percent = 5");
    for (after, is_refused) in [
        (shop("shop", "percent = 6"), false),
        (shop("shop", "percent = 6\nsalt = \"shop\""), false),
        (shop("shop", "percent = 5\nsalt = \"other\""), true),
        (shop("shop", "percent = 5\nsalt = \"other\"\nreshuffle = true"), false),
        (shop("shop", "percent = 5\nkey = [\"client-ip\"]"), true),
        (shop("shop", "percent = 5\nassign_cookie = \"cf\""), true),
        (shop("shop", "percent = 0\nkey = [\"client-ip\"]"), false),
        (shop("shop", "percent = 100\nkey = [\"client-ip\"]"), false),
        (shop("store", "percent = 5"), true),
        (shop("store", "percent = 5\nsalt = \"shop\""), false),
        (String::new(), false),
    ] {
        let said = refusal(&five, &after);
        assert_eq!(said.is_some(), is_refused, "{after}\n{said:?}");
    }
    assert_eq!(refusal(&shop("shop", "percent = 0"), &shop("shop", "percent = 5\nsalt = \"x\"")), None);
}

#[test]
fn what_a_person_set_survives_a_reload_and_counts_in_the_judgement() {
    let file = checked("", &shop("shop", "percent = 0"));
    let (mut running, _) = read_file(&Intents::new(), &file);
    let set = apply(&running["shop"], &Event::PercentSet("30".parse().unwrap())).0;
    running.insert("shop".to_owned(), set);
    let other = checked("", &shop("shop", "percent = 0\nsalt = \"x\""));
    let (next, sentences) = read_file(&running, &other);
    assert_eq!(next["shop"].standing().in_force(), "30".parse().unwrap());
    assert!(sentences.is_empty(), "{sentences:?}");
    assert!(reshuffle((&file, &running), (&other, &next)).is_some());
}

#[test]
fn what_cannot_change_live_is_said() {
    let first = checked("[proxy]\nworkers = 2", "");
    let said = |head: &str| needs_restart(&first, 2, &checked(head, ""));
    assert!(said("[proxy]\nworkers = 2").is_empty());
    assert!(said("[proxy]\nworkers = 2\nidle_timeout = \"5s\"").is_empty());
    assert_eq!(said("[proxy]\nworkers = 4"), ["proxy.workers: running 2, file says 4"]);
    assert_eq!(said("[proxy]\nworkers = 0"), ["proxy.workers: running 2, file says one for each core"]);
    assert_eq!(
        said(
            "[proxy]\nworkers = 2\naccess_log = \"stdout\"\n[admin]\nlisten = \"127.0.0.1:1\"\n[state]\ndir = \"/s\"\n[log]\nlevel = \"debug\""
        ),
        [
            "proxy.access_log: running none, file says stdout",
            "admin.listen: running 127.0.0.1:9900, file says 127.0.0.1:1",
            "state.dir: running none, file says \"/s\"",
            "log.level: running info, file says debug",
        ]
    );
    let automatic = checked("", "");
    assert!(needs_restart(&automatic, 8, &automatic).is_empty(), "one for each core stays so");
}

#[test]
fn sentences_tell_what_a_file_changes() {
    let (running, first) = read_file(&Intents::new(), &checked("", &shop("shop", "percent = 5")));
    assert_eq!(first, ["shop: new migration in phase canary, 5 % of the users get new"]);
    let (_, second) = read_file(&running, &checked("", &shop("shop", "percent = 10")));
    assert_eq!(
        second,
        [
            "shop: 10 % is asked for instead of 5 %, by the file",
            "shop: 10 % of the users get new instead of 5 %"
        ]
    );
    let (_, third) = read_file(&running, &checked("", ""));
    assert_eq!(third, ["shop: the migration is gone from the file"]);
}
