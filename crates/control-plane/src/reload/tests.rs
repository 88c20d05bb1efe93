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

fn now() -> Timestamp {
    "2026-11-26T08:00:00Z".parse().unwrap()
}

fn shop(name: &str, lines: &str) -> String {
    format!("[migration.{name}]\nmatch = [{{ path = \"/shop/*\" }}]\nold = \"a\"\nnew = \"b\"\n{lines}\n")
}

fn refusal(before: &str, after: &str) -> Option<String> {
    let (before, after) = (checked("", before), checked("", after));
    let outlook = read_file(&Book::first(&before), &after, now());
    outlook.reshuffle.map(|refusal| refusal.to_string())
}

fn set(file: &Checked, percent: &str) -> Book {
    let mut running = Book::first(file);
    for intent in running.intents.values_mut() {
        let terms = Terms { policy: &ramp::Policy::default(), now: now(), force: false };
        *intent = apply(intent, &Event::PercentSet(percent.parse().unwrap()), &terms).unwrap().0;
    }
    running
}

fn outlook(running: &Book, file: &Checked) -> Outlook {
    read_file(running, file, now())
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
        (shop("shop", "percent = 100\nkey = [\"header:x-id\"]"), true),
        (shop("shop", "phase = \"full\"\npercent = 5\nkey = [\"header:x-id\"]"), true),
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
    let running = set(&file, "30");
    let other = checked("", &shop("shop", "percent = 0\nsalt = \"x\""));
    let next = outlook(&running, &other);
    assert_eq!(next.intents["shop"].standing().in_force(), "30".parse().unwrap());
    assert!(next.sentences.is_empty(), "{:?}", next.sentences);
    assert!(next.reshuffle.is_some());
}

#[test]
fn a_renamed_migration_goes_on_with_what_a_person_set() {
    let file = checked("", &shop("shop", "percent = 5"));
    let running = set(&file, "50");
    let moved = |text: &str| text.replace("old = \"a\"", "old = \"c\"");
    let renamed = shop("store", "percent = 5\nsalt = \"shop\"");
    for after in [renamed.clone(), moved(&renamed)] {
        let next = outlook(&running, &checked("", &after));
        assert_eq!(next.intents["store"].standing().in_force(), "50".parse().unwrap());
        assert_eq!(next.sentences, ["store: continues shop, 50 % of the users get new"]);
        assert_eq!(next.renamed, [("store".to_owned(), "shop".to_owned())]);
        assert!(next.reshuffle.is_none() && next.gone.is_empty());
    }
    // Judged by what is in force, not by what the file says.
    let zero = checked("", &shop("shop", "percent = 0"));
    let resalted = checked("", &shop("store", "percent = 0"));
    assert!(outlook(&set(&zero, "50"), &resalted).reshuffle.is_some());
    // What the file says otherwise than last time is an intent, under whatever name.
    let ten = checked("", &shop("store", "percent = 10\nsalt = \"shop\""));
    assert_eq!(outlook(&running, &ten).intents["store"].standing().asked, "10".parse().unwrap());
}

#[test]
fn other_trusted_proxies_are_other_client_addresses() {
    let migration = shop("shop", "percent = 5\nkey = [\"client-ip\"]");
    let before = checked("[proxy]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.0/24\"]", &migration);
    let running = Book::first(&before);
    let judged = |trusted: &str| {
        let file = checked(&format!("[proxy]\ntrusted_proxies = [{trusted}]"), &migration);
        outlook(&running, &file).reshuffle.is_some()
    };
    assert!(judged("\"10.0.0.0/8\""));
    assert!(!judged("\"192.0.2.0/24\", \"10.0.0.0/8\""), "the order says nothing");
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
    let empty = checked("", "");
    let file = checked("", &shop("shop", "percent = 5"));
    let begun = outlook(&Book::first(&empty), &file);
    assert_eq!(begun.sentences, ["shop: new migration in phase canary, 5 % of the users get new"]);
    let mut running = Book::default();
    running.take_over(&begun, &file);
    let running = &running;
    assert_eq!(
        outlook(running, &checked("", &shop("shop", "percent = 10"))).sentences,
        [
            "shop: 10 % is asked for instead of 5 %, by the file",
            "shop: 10 % of the users get new instead of 5 %"
        ]
    );
    assert_eq!(outlook(running, &empty).sentences, ["shop: the migration is gone from the file"]);
}

#[test]
fn another_token_in_the_same_file_is_said_without_showing_it() {
    struct OneFile(&'static str);
    impl config_file::Files for OneFile {
        fn read(&self, _: &str) -> Result<String, String> {
            Ok(self.0.to_owned())
        }
    }
    let file = |token| {
        let text = "[admin]\ntoken_file = \"token\"\n[[listener]]\nlisten = \"127.0.0.1:1\"\n\
             [upstream.a]\nendpoints = [\"http://127.0.0.1:2\"]\n\
             [route.all]\nmatch = [{ path = \"/*\" }]\nto = \"a\"\n";
        config_file::parse(text, "test.toml", &|_| None, &OneFile(token)).checked.unwrap()
    };
    let first = file("correct-horse-battery");
    assert!(
        needs_restart(&first, 1, &file("correct-horse-battery\n")).iter().all(|line| !line.contains("token"))
    );
    let lines = needs_restart(&first, 1, &file("staple-correct-horse"));
    let said = "admin.token_file: running with the token it held at the start, file says another one";
    assert!(lines.iter().any(|line| line == said), "{lines:?}");
    assert!(!format!("{first:?}").contains("horse"));
}
