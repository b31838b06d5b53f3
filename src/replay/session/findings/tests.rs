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
