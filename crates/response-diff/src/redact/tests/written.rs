//! The many ways in which a text says that something is secret.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

const SECRET: &str = "s3cret-771";

/// All ways to write it are tables: with its mark in the place of the secret, and nothing else changed.
fn assert_hidden(rows: &[&str]) {
    let redactor = redactor(&["query:code"]);
    let mark = redactor.marks.of(SECRET);
    for row in rows {
        let text = row.replace('§', SECRET);
        assert_eq!(redactor.text(&text).as_str(), row.replace('§', &mark), "{row}");
        assert_eq!(
            redactor.text(&row.replace('§', &mark)).as_str(),
            row.replace('§', &mark),
            "{row}: twice is once"
        );
        // Whatever a text is hidden by, it is known by, and hidden elsewhere.
        let body = format!("{{\"text\": {}, \"elsewhere\": \"{SECRET}, said Ann\"}}", json::quoted(&text));
        let one = json(&body);
        let shown = shown(&redactor, &one);
        assert!(!shown.contains(SECRET) && shown.contains(", said Ann"), "{row}: {shown}");
    }
}

fn assert_shown(rows: &[&str]) {
    let redactor = redactor(&["query:code"]);
    for row in rows {
        assert_eq!(redactor.text(row).as_str(), *row);
    }
}

#[test]
fn pairs_are_found_wherever_they_stand() {
    assert_hidden(&[
        "password=§",
        "Password: §\nnext",
        "password=\n§ x",
        "api_key = '§', next",
        "export SECRET_KEY=§;",
        "{'token': '§', \"b\": 1}",
        r#"{"a": "b", "client_secret": "§""#,
        r#""token":"§"#,
        r#"window.s = {"session_token":"§",password:'§'}"#,
        "token := \"§\"",
        "Authorization: §",
        // In the value of another one.
        r#"{"url":"http://h/?token=§"}"#,
        "url: https://h/cb?x=1&token=§&page=2",
        "0; url=/x?token=§",
        "</n?page=2&token=§>; rel=\"next\"",
        r#"note="your password: §""#,
        // Fragments.
        "https://h/cb#access_token=§",
        "https://h/cb?id=3#state=x&access_token=§&page=2",
        "/cb?token=§#token=§",
        // Percent-encoded.
        "/a?next=%2Fcb%3Ftoken%3D§",
        "/a?next=%2Fcb%3Fx%3D1%26token%3D§%26page%3D2&page=3",
        "/a?next=%2Fcb%253Ftoken%253D§%2526page%253D2%26x%3D1&page=3",
        "/a?next=%2Fcb%23id_token%3d§%23x",
        "/a?access%5Ftoken=§&x",
        "/a?user%5Bpassword%5D=§",
        "/a?q=%7B%22token%22%3A%22§%22%7D",
        "%2Fa%3Ftoken%3D§",
        // In an attribute.
        r#"<a href="/reset?token=§&amp;x=1">"#,
        r#"<a href="/reset?x=1&amp;token=§">"#,
        r#"<a href="/reset?x=1&#38;token=§&#38;y=2">"#,
        "<div data-props=\"{&quot;token&quot;:&quot;§&quot;}\">",
        "<p>{&#39;token&#39;: &#x27;§&#x27;}</p>",
        r#"{\"token\": \"§\", \"x\": 1}"#,
        // By rule, where it is a parameter.
        "https://h/cb?code=§&page=2",
        "https://h/cb?page=2&amp;code=§",
        "/a?next=%2Fcb%3Fcode%3D§",
    ]);
}

#[test]
fn values_end_where_what_they_are_written_in_does() {
    let redactor = redactor(&[]);
    for (text, expected) in [
        // A value has what is encoded in it; what is encoded around it ends it.
        ("?token=ab%26cd&x", "?token=§&x"),
        ("?u=%3Ftoken%3Dab%2526cd%26x", "?u=%3Ftoken%3D§%26x"),
        ("?u=%3Ftoken%3Dab%26x&y", "?u=%3Ftoken%3D§%26x&y"),
        ("password=ab#cd x", "password=§ x"),
        ("?password=ab#cd", "?password=§#cd"),
        ("?token= x", "?token= x"),
        ("?token=&x=1", "?token=&x=1"),
        ("token=\"\" x", "token=\"\" x"),
        ("Authorization: Bearer abcdefgh", "Authorization: Bearer §"),
        ("as Bearer access_token=abc/1 said", "as Bearer § said"),
        (r#""authorization": "Bearer abcdefgh""#, r#""authorization": "Bearer §""#),
    ] {
        let shown = redactor.text(text);
        assert_eq!(without_marks(shown.as_str()), expected.replace('§', "\0"), "{text}");
        assert_eq!(redactor.text(shown.as_str()), shown);
    }
    // A value that is known has its end where that has, and is known as what it stands for.
    let said = Said { target: "/a?token=ab,cd&next=%2F%3Fsid%3Dx%252Fyz", ..Said::default() };
    let body = r#"{"a": "token=ab,cd x", "b": "say x/yz"}"#;
    let shown = redactor.pair(&json(body), &json(body)).knowing(&said).answer(&json(body));
    assert!(!shown.as_str().contains(",cd") && !shown.as_str().contains("x/yz"), "{shown}");
}

#[test]
fn what_is_no_secret_stays_readable() {
    assert_shown(&[
        "tokens=3, tokens: 250",
        "a=b, 12:30, https://example.com/?page=2&sort=asc#top",
        "/a?next=%2Fcb%3Fpage%3D2%26sort%3Dasc",
        "https://tokens:8080/x",
        "urn:ietf:params:oauth:token-type:access_token",
        "code: 7, the code=7",
        "your password is x, Ann",
        r#"["password","x"]"#,
        "/reset/abcdef",
        "<input name=quantity value=3>",
        r#"<input value="3" name="quantity"><p name="x">text 1</p>"#,
        r#"<add key="color" value="red"/>"#,
        r#"<meta name="description" content="how to reset a password">"#,
        r#"<label id="password-label" for="password">Your password</label>"#,
        r#"<div id="card">Order 42</div>"#,
        r#"<input type="password" name="password" value="">"#,
        "<password></password><password> </password><token/>",
        "for <password> one writes it, 1 < 2",
        "<c:tokens>",
        "a < token and b <token",
        "<",
        "<a b='",
    ]);
}

#[test]
fn elements_and_attributes_say_what_is_secret() {
    assert_hidden(&[
        "<input type=hidden name=csrf_token value=§>",
        "<input type=hidden name=csrf_token value=§/>",
        r#"<input type=hidden name="csrf_token" value="§">"#,
        r#"<input value="§" name="authenticity_token" type="hidden">"#,
        "<input value=§ name=authenticity_token>",
        "<input value='§'\n  name='authenticity_token'\n>",
        r#"<INPUT TYPE="password" NAME="q" VALUE="§">"#,
        r#"<input value = "§" disabled id = "csrf">"#,
        r#"<input name="csrf_token" value="§"><input name="q" value="shoes">"#,
        r#"<input name="q" value="shoes"><input name="csrf_token" value="§"#,
        r#"{\"html\": \"<input name=\"csrf_token\" value=\"§\">\"}"#,
        "<p><input name=token value=§> A caption</p>",
        r#"<meta name="csrf-token" content="§">"#,
        r#"<meta content="§" name="csrf-token" />"#,
        "<meta name=csrf-token content=§>",
        "<user token=§/>",
        "<div data-token='§' title=\"x\">",
        r#"<user id="7" password="§"/>"#,
        r#"<add key="ApiKey" value="§"/>"#,
        r#"<add value="§" key="ApiKey"/>"#,
        r#"<entry key="password">§</entry>"#,
        r#"<span id="token">§</span>"#,
        "<textarea name=token>§</textarea>",
        "<Password>§</Password>",
        "<p:Password>§</p:Password>",
        r#"<password value="§" since="2026"/>"#,
        "<p:Password xmlns:p=\"x\">\n  §\n</p:Password>",
        "<p:Password><![CDATA[§]]></p:Password>",
        "<password><![CDATA[§]]><![CDATA[§]]></password>",
        "<password><![CDATA[§",
        r#"<wsse:Password Type="http://docs/x#PasswordText">§</wsse:Password>"#,
        // What is around it does not swallow it.
        "if (a<b && c == \"x\") d = \"<input name='token' value='§'>\"",
        "it's <b title='x>1'>here</b> <input name=token value=§>",
        "for(;i<n && f(\"k=\", v);) {}</script><input name=\"token\" value=\"§\"> \"",
        "<input title=\"a <b c='\" name=token value='§'>",
        "<!-- <input name=token value=§> -->",
        r#"<a b="<input name=token value=§>"#,
        r#"<iframe srcdoc="<p title='<input name=token value=§>'>"></iframe>"#,
        "<a\n<input name=token value=§>",
    ]);
}

#[test]
fn whole_answers_hide_what_links_and_pages_carry() {
    let rows: [(&str, &str, &str); 5] = [
        ("location", "https://h/?next=%2Fcb%3Ftoken%3D§#access_token=§", "{}"),
        ("refresh", "0; url=/x?token=§", "{}"),
        (
            "content-type",
            "text/html; charset=utf-8",
            "<a href=\"/reset?token=§&amp;x=1\"><meta name=csrf content=§>",
        ),
        ("content-type", "application/xml", "<a><p:Password xmlns:p=\"x\"><![CDATA[§]]></p:Password></a>"),
        ("content-type", "application/json", r#"{"page": "<input name=csrf_token value=\"§\">"}"#),
    ];
    let redactor = redactor(&[]);
    let mark = redactor.marks.of(SECRET);
    for (name, value, body) in rows {
        let (value, body) = (value.replace('§', SECRET), body.replace('§', SECRET));
        let one = answer(&[(name, &value)], &body);
        let other = answer(&[], "{}");
        let redaction = redactor.pair(&one, &other);
        let kept = redaction.answer(&one);
        assert!(!kept.as_str().contains(SECRET) && kept.as_str().contains(&mark), "{kept}");
        // A difference shows a part of it, without what says that it is secret.
        let cut = redaction.difference(&difference("body", "body:1", &format!("x {SECRET} y"), "z"));
        assert_eq!(cut.old.unwrap().as_str(), format!("x {mark} y"));
    }
}

#[test]
fn what_a_parameter_carries_is_hidden_where_an_answer_repeats_it() {
    let target = format!("/a?page=2&next=%2Fcb%3Fpage%3D7%26token%3D{SECRET}%252Fx");
    let redactor = redactor(&[]);
    for body in [
        "decoded: /cb?page=7&token=§/x",
        "<p>/cb?page=7&amp;token=§/x</p>",
        "bare: §/x, said Ann",
        "as it came: §%252Fx",
    ] {
        let body = body.replace('§', SECRET);
        let one = answer(&[("content-type", "text/html")], &body);
        let said = Said { target: &target, ..Said::default() };
        let redaction = redactor.pair(&one, &one).knowing(&said);
        let kept = [redaction.answer(&one), redaction.target(&target)];
        assert!(kept.iter().all(|kept| !kept.as_str().contains(SECRET)), "{kept:?}");
        assert!(
            kept[1].as_str().starts_with("/a?page=2&next=%2Fcb%3Fpage%3D7%26token%3D«redacted "),
            "{}",
            kept[1]
        );
    }
}

/// Bits of which texts are made that are hard to go through.
fn bits() -> impl Strategy<Value = String> {
    let bits = [
        "<input ",
        "<p:token",
        "<b",
        "</token>",
        ">",
        "/>",
        "name",
        "value",
        "content",
        "key",
        "id",
        "type",
        "token",
        "password",
        "sid",
        "tokens",
        "=",
        "=",
        ":",
        "\"",
        "'",
        "\\\"",
        "&quot;",
        "%22",
        " ",
        "\n",
        "&",
        "&amp;",
        "#",
        "?",
        "/",
        ";",
        "%3D",
        "%253D",
        "%26",
        "%25",
        "%",
        "<![CDATA[",
        "]]>",
        "abc1",
        "12",
        "-",
        "«redacted 3fa9c1»",
        "«",
        "Bearer ",
        "ä",
        ".",
        "[",
        "…",
    ];
    prop::collection::vec(prop::sample::select(bits.to_vec()), 0..40).prop_map(|bits| bits.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn twice_is_once_however_it_is_written(text in bits()) {
        let redactor = redactor(&["query:code"]);
        let once = redactor.text(&text);
        prop_assert_eq!(redactor.text(once.as_str()), once);
    }

    #[test]
    fn nothing_around_it_keeps_a_secret_from_being_found(before in bits(), after in bits()) {
        let redactor = redactor(&[]);
        let line = format!("{before}\n password={SECRET}\n{after}");
        let shown = redactor.text(&line);
        prop_assert!(!shown.as_str().contains(SECRET), "{}", shown);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the crate knows no time, but this is how long it takes")]
fn a_quarter_of_a_mebibyte_of_anything_is_gone_through_in_time() {
    let redactor = redactor(&[]);
    // Quadratic, each of these would take minutes.
    for bit in [
        "a=a&",
        "token=a&",
        "a:",
        "%3D",
        "%253D",
        "%25",
        "%",
        "<",
        "<input ",
        "<input <input ",
        "<input name=token ",
        "<input value=",
        "<input value=1 ",
        "value=1 ",
        "<token>",
        "<token>a",
        "<![CDATA[",
        "<token><![CDATA[",
        "token=\"\"",
        "token=\"",
        "token=\"\n",
        "token='\"\\\"",
        "token=%22",
        "\"token\":",
        "   =",
        "a.b-",
        "token",
        "&quot;=",
        "<a b=\"",
        "<a b='\"",
        "<token a=\"",
        "«redacted ",
        "token=«redacted 3fa9c1»",
        "token=«redacted 3fa9c1» ",
    ] {
        for start in ["", "<a b=\""] {
            let mut text = start.to_owned();
            while text.len() < 1 << 16 {
                let _ = write!(text, "{bit}");
            }
            let begun = Instant::now();
            let length = redactor.text(&text).len();
            let took = begun.elapsed();
            assert!(length > 0 && took < Duration::from_secs(10), "{start}{bit}...: {took:?}");
        }
    }
}
