use super::*;

#[actix_rt::test]
async fn what_was_announced_before_somebody_came_ends_nothing_later_but_keeps_him_away() {
    let vacated = VacatedDatabases::default();
    let mut announcements = vacated.listen();
    // More than are kept.
    for n in 0..KEPT {
        vacated.announce(&format!("another_{n}"));
    }
    vacated.announce("app");
    assert!(announcements.was_left("app"));
    assert!(!announcements.was_left("shop"));

    tokio::select! {
        biased;
        () = announcements.must_leave("app") => panic!("nobody has to leave"),
        () = std::future::ready(()) => {}
    }
    vacated.announce("shop");
    vacated.announce("app");
    announcements.must_leave("app").await;
    // It was heard of meanwhile.
    assert!(announcements.was_left("shop"));
}
