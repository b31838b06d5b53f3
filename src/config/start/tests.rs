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
