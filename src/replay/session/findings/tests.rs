use super::*;

#[test]
fn what_was_found_of_routines_holds_until_the_schema_changes() {
    let findings = Findings::default();
    let database = findings.database("app");
    assert_eq!(database.routines(), None);
    database.note_routines(database.schema_changes(), Arc::default());
    assert_eq!(findings.database("app").routines(), Some(Arc::default()));
    assert_eq!(findings.database("other").routines(), None);
    let asked = database.schema_changes();
    database.schema_changed();
    assert_eq!(database.routines(), None);
    database.note_routines(asked, Arc::default());
    assert_eq!(database.routines(), None, "it changed while it was asked about");
}

#[test]
fn what_no_session_has_any_more_is_remembered_of_so_many_databases_and_log_ins_alone() {
    let findings = Findings::default();
    let kept = findings.database("kept");
    kept.schema_changed();
    let kept_login = findings.login("ann", "kept");
    kept_login.note_tells_nothing();
    for at in 0..10_000 {
        findings.database(&format!("test_{at}"));
        findings.login("ann", &format!("test_{at}"));
    }
    assert!(findings.databases.lock().len() <= REMEMBERED);
    assert!(findings.logins.lock().len() <= REMEMBERED);
    assert_eq!(findings.database("kept").schema_changes(), 1);
    assert!(findings.login("ann", "kept").tells_nothing());
}
