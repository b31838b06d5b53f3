use super::*;

#[test]
fn a_role_gets_what_kreplay_sets_and_no_more() {
    let preload = "ALTER ROLE \"a\"\"b\" SET session_preload_libraries = 'auto_explain'; ";
    let granted = remedy("a\"b", 180_006);
    assert!(granted.contains(preload), "{granted}");
    assert!(granted.contains("GRANT SET ON PARAMETER auto_explain.log_format, "), "{granted}");
    assert!(granted.ends_with("auto_explain.log_parameter_max_length TO \"a\"\"b\""), "{granted}");
    assert!(!remedy("app", 150_017).contains("log_parameter_max_length"), "it came with 16");
    let set = remedy("app", 140_022);
    assert!(set.contains("; ALTER ROLE \"app\" SET auto_explain.sample_rate = 0.02"), "{set}");
    assert!(!set.contains("GRANT"), "{set}");
}
