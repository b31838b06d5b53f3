use super::*;

#[test]
fn an_address_to_listen_on_has_a_port_or_is_off() {
    let listen = str::parse::<Listen>;
    assert_eq!(listen("off"), Ok(Listen::Off));
    assert_eq!(listen("localhost:80"), listen("127.0.0.1:80"));
    assert!(listen("[::1]:80").is_ok());
    for wrong in ["", "80", "127.0.0.1", "localhost", "localhost:x", "on"] {
        assert!(listen(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_name_that_http_is_asked_by_is_a_name_alone() {
    assert_eq!(host_name("Replay.Example.org."), Ok("replay.example.org".to_owned()));
    assert_eq!(host_name("test_host-1"), Ok("test_host-1".to_owned()));
    for wrong in ["", ".", "a..b", "http://a", "a:80", "a/b", "*", "a b", "*.a"] {
        assert!(host_name(wrong).is_err(), "{wrong}");
    }
}
