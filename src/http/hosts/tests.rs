use actix_web::test::TestRequest;

use super::*;

fn hosts() -> Hosts {
    Hosts::new(&["replay.example.org".to_owned(), "testhost".to_owned()])
}

#[test]
fn addresses_localhost_and_given_names_are_known_whatever_the_port() {
    for host in [
        "127.0.0.1",
        "127.0.0.1:11432",
        "10.1.2.3:80",
        "[::1]",
        "[::1]:11432",
        "localhost",
        "LocalHost:11432",
        "localhost.:11432",
        "testhost:11432",
        "TESTHOST",
        "replay.example.org.",
    ] {
        assert!(hosts().allow(host), "{host}");
    }
}

#[test]
fn no_other_name_is_known_however_it_looks() {
    for host in [
        "",
        ":11432",
        "evil.example:11432",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127.0.0.1",
        "testhost.evil.example:11432",
        "eviltesthost",
        "testhost:11432:x",
        "user@testhost",
        "[evil.example]",
        "[::1].evil.example",
        "testhost,evil.example",
        "testhost..",
    ] {
        assert!(!hosts().allow(host), "{host}");
    }
}

#[test]
fn every_name_of_a_request_counts_and_one_without_any_is_no_browsers() {
    let refused = |request: TestRequest| hosts().refuse(&request.to_http_request());
    assert_eq!(refused(TestRequest::get()), None);
    assert_eq!(refused(TestRequest::get().insert_header((HOST, "testhost"))), None);
    let two = TestRequest::get().append_header((HOST, "testhost")).append_header((HOST, "evil"));
    assert_eq!(refused(two).as_deref(), Some("evil"));
    let absolute = TestRequest::get().uri("http://evil/").insert_header((HOST, "testhost"));
    assert_eq!(refused(absolute).as_deref(), Some("evil"));
}

#[test]
fn a_refusal_names_the_flag_and_no_more_of_the_name_than_is_harmless() {
    let text = UnknownHost(format!("a\u{1b}[2J{}", "b".repeat(1000))).to_string();
    assert!(text.contains(r"a\u{1b}[2Jbbb") && text.contains("--http-host"), "{text}");
    assert!(text.len() < 400, "{text}");
}
