use std::sync::Arc;

use super::*;
use crate::pglog::statement::Protocol;
use crate::replay::session::SessionSettings;
use crate::replay::session::tests::work;
use crate::replay::work::End;

#[test]
fn a_database_is_vacated_for_what_needs_it_alone_unless_that_failed_on_the_source() {
    let vacated = |sql: &str, source| {
        Vacated::by(&work(1, sql, Protocol::Simple, End { source, ..End::default() }))
    };
    let of = |succeeded| Some(Vacated { database: "shop".to_owned(), succeeded });
    assert_eq!(vacated("drop database shop", SourceEnd::Succeeded), of(true));
    assert_eq!(vacated("drop database shop", SourceEnd::Unknown), of(false));
    let failed = SourceEnd::Failed("55006".parse().expect("a SQLSTATE"));
    assert_eq!(vacated("drop database shop", failed), None);
    assert_eq!(vacated("alter role app set search_path to shop", SourceEnd::Succeeded), None);
}

#[test]
fn whose_log_ins_change_is_known_of_the_next_statement_alone() {
    let settings = SessionSettings {
        depth: 1,
        takes_turns: true,
        replay_cancels: false,
        read_only: false,
        server_durations: false,
        explain: false,
    };
    let mut session = Session::new(settings, Arc::default());
    assert_eq!(session.altered_logins(Seq(4)), None);
    session.push(work(4, "drop role app", Protocol::Simple, End::default()));
    assert_eq!(session.altered_logins(Seq(3)), None);
    let altered = session.altered_logins(Seq(4)).expect("it is next");
    assert!(altered.has("app", "shop") && !altered.has("other", "shop"));
}
