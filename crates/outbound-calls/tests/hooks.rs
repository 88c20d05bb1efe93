//! What a hook does, and what the caller makes of it, over real connections.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

use std::time::{Duration, Instant};

use outbound_calls::{
    CallError, Caller, Fault, HookUrl, MAX_ANSWER_BYTES, MAX_QUESTION_BYTES, Options, Signing, SigningKey,
    Stage, Verdict,
};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Deaf, Scripted, Serving, Wire, refusing_address, request};

const PATIENT: Options<'_> = Options { timeout: DEADLINE, signing: None };
const HASTY: Options<'_> = Options { timeout: Duration::from_secs(3), signing: None };

fn question() -> Value {
    json!({ "type": "ramp.confirm", "migration": "checkout", "from": 5, "to": 10, "step": 2, "reason": null })
}

fn url(text: impl AsRef<str>) -> HookUrl {
    text.as_ref().parse().unwrap()
}

fn hook(serving: &Serving) -> HookUrl {
    url(format!("http://{}/ramp", serving.addr()))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn ask(hook: &HookUrl, options: &Options<'_>) -> Verdict {
    run(Caller::new(None).unwrap().ask(hook, &question(), options))
}

fn announce(hook: &HookUrl, options: &Options<'_>) -> Result<(), CallError> {
    run(Caller::new(None).unwrap().announce(hook, &question(), options))
}

/// A hook that reads the question, and then does this.
fn answering(script: impl Fn(&mut Wire) + Send + Sync + 'static) -> Serving {
    Scripted::bind().serve(move |mut wire| {
        if wire.try_request().is_ok() {
            script(&mut wire);
        }
    })
}

fn with_status(status: &str, body: &str) -> Serving {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Scripted::bind().answering(answer.into_bytes())
}

fn no(why: impl Into<String>) -> Verdict {
    Verdict::No { why: why.into() }
}

/// Plays the hook in this thread and the caller in another.
fn heard(options: &Options<'_>, body: &Value) -> test_kit::Request {
    let scripted = Scripted::bind();
    let hook = url(format!("http://{}/ramp?token=s3cret", scripted.addr()));
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| run(Caller::new(None).unwrap().announce(&hook, body, options)));
        let mut wire = scripted.accept();
        let request = wire.request();
        wire.send(request::ok(""));
        caller.join().unwrap().unwrap();
        request
    })
}

#[test]
fn the_question_is_one_post_of_json() {
    let request = heard(&PATIENT, &question());
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/ramp?token=s3cret"));
    assert_eq!(request.fields.all("content-type"), ["application/json"]);
    assert_eq!(request.fields.all("user-agent"), [concat!("crossfade/", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(request.fields.all("connection"), ["close"]);
    assert_eq!(request.fields.all("host").len(), 1);
    assert!(!request.fields.has("webhook-signature"));
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), question());
}

#[test]
fn a_signed_call_has_the_id_and_the_signature_of_its_very_bytes() {
    let key: SigningKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let signing = Signing::new(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330).unwrap();
    let request =
        heard(&Options { signing: Some(signing), ..PATIENT }, &json!({ "test": 2_432_232_314_u64 }));
    assert_eq!(request.fields.all("webhook-id"), ["msg_p5jXN8AQM9LWM0D4loKWxJek"]);
    assert_eq!(request.fields.all("webhook-timestamp"), ["1614265330"]);
    // From openssl: HMAC-SHA256 of `msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test":2432232314}`.
    assert_eq!(request.fields.all("webhook-signature"), ["v1,Vif40peJBP7Iyl0XGmu61n4MwdrcHov5CFREBpE0svs="]);
}

#[test]
fn two_hundreds_are_yes_whatever_else_they_say() {
    for (status, body) in [
        ("200 OK", ""),
        ("200 OK", "fine with me"),
        ("202 Accepted", r#"{"confirm":true,"reason":"because"}"#),
        ("200 OK", r#"{"ok":false}"#),
        ("200 OK", "[false]"),
        ("204 No Content", ""),
    ] {
        let serving = match status {
            "204 No Content" => Scripted::bind().answering(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            _ => with_status(status, body),
        };
        assert_eq!(ask(&hook(&serving), &PATIENT), Verdict::Yes, "{status} {body}");
        assert_eq!(announce(&hook(&serving), &PATIENT), Ok(()));
    }
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    let serving =
        answering(|wire| wire.send("HTTP/1.0 200 OK\r\n\r\n{\"confirm\":false,\"reason\":\"not today\"}"));
    assert_eq!(ask(&hook(&serving), &PATIENT), no("not today"));
}

#[test]
fn a_hook_says_no_with_its_reason() {
    for (body, why) in [
        (
            r#"{"confirm":false,"reason":"checkout is on call\nuntil 18:00"}"#,
            "checkout is on call until 18:00",
        ),
        (r#"{"confirm":false}"#, "ORIGIN said no and gave no reason"),
        (r#"{"confirm":false,"reason":7}"#, "ORIGIN said no and gave no reason"),
        (r#"{"confirm":"no"}"#, "the `confirm` in the answer of ORIGIN is neither true nor false"),
        (
            r#"{"confirm":False}"#,
            "the JSON in the answer of ORIGIN cannot be read: expected value at line 1 column 12",
        ),
        (r#"{"confirm":null}"#, "the `confirm` in the answer of ORIGIN is neither true nor false"),
    ] {
        let serving = with_status("200 OK", body);
        let why = why.replace("ORIGIN", &hook(&serving).origin());
        assert_eq!(ask(&hook(&serving), &PATIENT), no(why), "{body}");
        assert_eq!(announce(&hook(&serving), &PATIENT), Ok(()), "news has arrived all the same");
    }
}

#[test]
fn any_other_status_is_no_and_its_body_is_not_read() {
    for status in [400, 410, 500, 503] {
        let endless = format!("HTTP/1.1 {status} So So\r\ncontent-length: 1000000000\r\n\r\n");
        let serving = Scripted::bind().answering(endless.into_bytes());
        let origin = hook(&serving).origin();
        assert_eq!(ask(&hook(&serving), &PATIENT), no(format!("{origin} answered {status}")));
        let error = announce(&hook(&serving), &PATIENT).unwrap_err();
        assert_eq!(error.fault(), &Fault::Status(status));
    }
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = with_status("200 OK", "");
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.addr()
    );
    let serving = Scripted::bind().answering(moved.into_bytes());
    let origin = hook(&serving).origin();
    let why = format!("{origin} answered 307, and redirects are not followed; name the final address");
    assert_eq!(ask(&hook(&serving), &PATIENT), no(why));
    assert_eq!((serving.connections(), elsewhere.connections()), (1, 0));
}

#[test]
fn interim_answers_are_passed_over() {
    let serving = answering(|wire| {
        wire.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    assert_eq!(ask(&hook(&serving), &PATIENT), Verdict::Yes);
}

#[test]
fn a_silent_hook_is_not_waited_for() {
    let serving = answering(|wire| drop(wire.rest()));
    let origin = hook(&serving).origin();
    let began = Instant::now();
    let why = format!("no answer from {origin} within 3 s: it had not begun to answer");
    assert_eq!(ask(&hook(&serving), &HASTY), no(why));
    assert!(began.elapsed() >= HASTY.timeout && began.elapsed() < DEADLINE);
}

#[test]
fn a_hook_that_takes_no_connection_is_not_waited_for() {
    let deaf = Deaf::bind();
    let why = format!("no answer from http://{} within 3 s: it was not connected", deaf.addr());
    assert_eq!(ask(&url(format!("http://{}", deaf.addr())), &HASTY), no(why));
}

/// Each byte comes in time; the whole does not.
#[test]
fn a_hook_that_drips_does_not_stretch_the_time() {
    for (head, stage) in [
        ("HTTP/1.1 200 OK\r\nx-slow: ", Stage::Waiting),
        ("HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n", Stage::Receiving),
    ] {
        let serving = answering(move |wire| {
            wire.send(head);
            while wire.try_send("x").is_ok() && wire.stays_quiet(Duration::from_millis(5)) {}
        });
        let error = announce(&hook(&serving), &HASTY).unwrap_err();
        assert_eq!(error.fault(), &Fault::Late { stage, timeout: HASTY.timeout });
    }
}

#[test]
fn an_answer_has_64_kib_at_most() {
    let fits = with_status("200 OK", &" ".repeat(MAX_ANSWER_BYTES));
    assert_eq!(ask(&hook(&fits), &PATIENT), Verdict::Yes);

    let said = with_status("200 OK", &" ".repeat(MAX_ANSWER_BYTES + 1));
    let why = format!("the answer of {} is longer than 64 KiB", hook(&said).origin());
    assert_eq!(ask(&hook(&said), &PATIENT), no(why));

    let endless = answering(|wire| {
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while wire.try_send(request::chunked(&[b' '; 4096], 4096).strip_suffix(b"0\r\n\r\n").unwrap()).is_ok()
        {
        }
    });
    assert_eq!(announce(&hook(&endless), &PATIENT).unwrap_err().fault(), &Fault::TooLong);
}

#[test]
fn a_head_without_end_is_refused() {
    let serving = answering(|wire| {
        wire.send("HTTP/1.1 200 OK\r\nx-long: ");
        while wire.try_send([b'x'; 4096]).is_ok() {}
    });
    let error = announce(&hook(&serving), &PATIENT).unwrap_err();
    assert!(matches!(error.fault(), Fault::Broken { .. }), "{error}");
}

#[test]
fn an_answer_that_is_cut_short_is_none() {
    for (answer, sentence) in [
        ("", "connection closed before message completed"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"confirm\":",
            "error reading a body from connection: end of file before message length reached",
        ),
        ("220 mail.example ESMTP\r\n\r\n", "invalid HTTP version parsed"),
    ] {
        let serving = answering(move |wire| wire.send(answer));
        let why = format!("no whole answer from {}: {sentence}", hook(&serving).origin());
        assert_eq!(ask(&hook(&serving), &PATIENT), no(why));
    }
}

#[test]
fn a_refused_connection_and_an_unknown_name_say_so() {
    let (refusing, _kept) = refusing_address();
    let why = format!("cannot connect to http://{refusing}: Connection refused (os error 111)");
    assert_eq!(ask(&url(format!("http://{refusing}/ramp?token=s3cret")), &PATIENT), no(why));

    // RFC 6761, section 6.4: this name never has an address.
    let error = announce(&url("http://hooks.invalid/"), &PATIENT).unwrap_err();
    assert!(matches!(error.fault(), Fault::Unresolved { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot resolve the host of http://hooks.invalid: "), "{error}");
}

#[test]
fn a_question_has_64_kib_at_most() {
    let serving = with_status("200 OK", "");
    let caller = Caller::new(None).unwrap();
    let quotes = 2;
    let fits = Value::String("x".repeat(MAX_QUESTION_BYTES - quotes));
    assert_eq!(run(caller.announce(&hook(&serving), &fits, &PATIENT)), Ok(()));

    let long = Value::String("x".repeat(MAX_QUESTION_BYTES));
    let error = run(caller.announce(&hook(&serving), &long, &PATIENT)).unwrap_err();
    let sentence = "the body has 65538 bytes, and at most 65536 are sent";
    assert_eq!(error.to_string(), format!("nothing was sent to {}: {sentence}", hook(&serving).origin()));
    assert_eq!(serving.connections(), 1);
}

#[test]
fn every_address_that_is_taken_can_be_called() {
    let every = "/-._~!$&'()*+,;=:@/%41?-._~!$&'()*+,;=:@/?%41";
    for target in [every, "//x", "/?", "/"] {
        let scripted = Scripted::bind();
        let hook = url(format!("http://{}{target}", scripted.addr()));
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| ask(&hook, &PATIENT));
            let mut wire = scripted.accept();
            assert_eq!(wire.request().target, target);
            wire.send(request::ok(""));
            assert_eq!(caller.join().unwrap(), Verdict::Yes);
        });
    }
}

#[test]
fn a_call_that_is_given_up_closes_its_connection() {
    let scripted = Scripted::bind();
    let hook = url(format!("http://{}", scripted.addr()));
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| ask(&hook, &HASTY));
        let mut wire = scripted.accept();
        wire.request();
        wire.expect_end();
        assert!(matches!(caller.join().unwrap(), Verdict::No { .. }));
    });
}
