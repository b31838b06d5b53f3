use super::*;

fn kept(sql: &str) -> Option<String> {
    kept_read_only(sql, &Outline::of(sql))
}

#[test]
fn read_write_becomes_read_only_wherever_a_transaction_can_say_it() {
    for (sql, expected) in [
        ("begin read write", "begin read ONLY"),
        (
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ /* x */ WRITE;",
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ /* x */ ONLY;",
        ),
        ("set transaction read write", "set transaction read ONLY"),
        (
            "set session characteristics as transaction read write",
            "set session characteristics as transaction read ONLY",
        ),
        (
            "begin read write; select 'read write'; commit",
            "begin read ONLY; select 'read write'; commit",
        ),
    ] {
        assert_eq!(kept(sql).as_deref(), Some(expected));
    }
}

#[test]
fn a_change_of_the_setting_itself_is_left_out() {
    for (sql, expected) in [
        ("set default_transaction_read_only = off", ""),
        ("SET SESSION Default_Transaction_Read_Only TO 'f'", ""),
        ("set local transaction_read_only = off", ""),
        ("set \"default_transaction_read_only\" = off", ""),
        ("set a = 1; set transaction_read_only = 0; select 2", "set a = 1; ; select 2"),
        ("select set_config('default_transaction_read_only', 'off', false)", ""),
        ("select set_config('default_trans'\n'action_read_only', 'off', false)", ""),
        ("do $$begin set default_transaction_read_only = off; end$$", ""),
    ] {
        assert_eq!(kept(sql).as_deref(), Some(expected), "{sql}");
    }
}

#[test]
fn what_only_speaks_of_it_is_left_alone() {
    for sql in [
        "show default_transaction_read_only",
        "select current_setting('transaction_read_only')",
        "begin read only",
        "begin",
        "insert into t values ('set transaction read write')",
        "select read write from t",
    ] {
        assert_eq!(kept(sql), None, "{sql}");
    }
}
