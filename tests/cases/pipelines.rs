//! What shared a Sync on the source: the server's own rules decide what is committed.

use super::Case;

#[test]
fn a_routine_commits_within_a_pipeline() {
    Case::new("call_with_commit_in_pipeline").check(|replayed| {
        let right = ["1", "2", "3", "100", "200", "300", "301", "302"];
        replayed.rows("select n from x order by n", &right).all_same();
    });
}
