use super::*;

fn imports(sql: &str) -> Vec<SnapshotImport> {
    let outline = Outline::of(sql);
    let imports = snapshot_imports(sql, &outline);
    assert!(imports.is_empty() || outline.imports_snapshot, "{sql}");
    imports
}

#[test]
fn an_identifier_is_made_of_the_exporters_virtual_id() {
    let by = VirtualTransaction::parse("3/30").expect("a transaction");
    assert_eq!(by.snapshot(1), "00000003-0000001E-1");
    assert_eq!(snapshot_number("00000003-0000001E-12"), Some(12));
    for none in ["3/0", "", "3", "a/1", "3/-1"] {
        assert_eq!(VirtualTransaction::parse(none), None, "{none}");
    }
    for none in ["00000003-0000001E", "00000003-0000001e-1", "3-1E-1", "", "00000003-0000001E-1-1"]
    {
        assert_eq!(snapshot_number(none), None, "{none}");
    }
}

#[test]
fn an_import_is_found_in_every_spelling() {
    for sql in [
        "SET TRANSACTION SNAPSHOT '00000003-0000001E-1'",
        "set /* a */ transaction\n snapshot -- b\n '00000003-0000001E-1' ;",
        "set local transaction snapshot E'00000003-0000001E-1'",
        "SET SESSION TRANSACTION SNAPSHOT $$00000003-0000001E-1$$",
        "set transaction snapshot $x$00000003-0000001E-1$x$",
        "set transaction snapshot U&'00000003-0000001E-1'",
        "set transaction snapshot '00000003-'\n'0000001E-1'",
        "set transaction snapshot E'00000003-' -- c\n '0000001E-1'",
    ] {
        let imports = imports(sql);
        assert_eq!(imports.len(), 1, "{sql}");
        assert_eq!(imports[0].identifier, "00000003-0000001E-1", "{sql}");
        let literal = &sql[imports[0].literal.clone()];
        assert!(literal.contains("00000003-") && literal.ends_with(['\'', '$']), "{literal}");
    }
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT 'A-1'; SELECT 1";
    let imports = imports(sql);
    assert_eq!(&sql[imports[0].statement.clone()], "SET TRANSACTION SNAPSHOT 'A-1'");
    assert_eq!(&sql[imports[0].literal.clone()], "'A-1'");
}

#[test]
fn nothing_else_is_an_import() {
    for sql in [
        "select 'set transaction snapshot ''x'''",
        "set transaction isolation level repeatable read",
        "-- set transaction snapshot 'x'",
        "set transaction snapshot",
        "set snapshot = 'x'",
    ] {
        assert_eq!(imports(sql), [], "{sql}");
    }
    let escaped = imports(r"set transaction snapshot E'\x30'");
    assert_eq!(escaped[0].identifier, "");
    let own = "set transaction snapshot U&'!0030' UESCAPE '!'";
    let SnapshotImport { identifier, literal, .. } = &imports(own)[0];
    assert_eq!((identifier.as_str(), &own[literal.clone()]), ("", "U&'!0030' UESCAPE '!'"));
}

#[test]
fn an_export_is_seen_wherever_it_is_called() {
    for sql in [
        "SELECT pg_catalog.pg_export_snapshot()",
        "select PG_EXPORT_SNAPSHOT (), 1",
        "begin; select \"pg_export_snapshot\"()",
    ] {
        assert!(Outline::of(sql).exports_snapshot, "{sql}");
    }
    assert!(!Outline::of("select 'pg_export_snapshot()'").exports_snapshot);
}
