use super::Occasion::{self, NowAndThen};
use super::*;
use crate::pglog::SessionId;
use crate::pglog::statement::Statement;
use crate::replay::report::plan::read_text;
use crate::replay::settings::Login;
use crate::replay::work::{End, Position, Seq};

const MINUTE: i64 = 60_000;

fn plan(title: &str) -> PlanNode {
    read_text(&format!("{title}  (cost=0.00..1.00 rows=1 width=1)")).expect("a plan")
}

fn index_scan() -> PlanNode {
    plan("Index Scan using t_w on t")
}

fn seq_scan() -> PlanNode {
    plan("Seq Scan on t")
}

fn work(sql: &str) -> Arc<Work> {
    let at = Position { partition: 0, offset: 1, line: 1 };
    let statement = Statement::new(sql, Protocol::Simple);
    Arc::new(Work::new(Seq(1), at, SessionId::default(), statement, End::default()))
}

fn call_of(sql: &str) -> Option<TypicalCall> {
    let login = Login { user: "a".into(), database: "b".into(), application_name: "c".into() };
    let context =
        CallContext { login: Arc::new(login), settings: Vec::new(), findings: Arc::default() };
    TypicalCall::of(&work(sql), &Arc::new(context))
}

fn call() -> Arc<TypicalCall> {
    Arc::new(call_of("select 1").expect("it can be explained"))
}

fn candidate(fingerprint: u64, has_changed: bool) -> Candidate {
    Candidate { fingerprint, has_changed, call: Some(call()) }
}

fn due(book: &PlanBook, candidates: Vec<Candidate>, now_ms: i64, occasion: Occasion) -> Vec<u64> {
    book.due(candidates, now_ms, occasion).iter().map(|due| due.fingerprint).collect()
}

fn explained(book: &mut PlanBook, fingerprint: u64, now_ms: i64, plan: Result<PlanNode, SqlState>) {
    book.explained(Due { fingerprint, call: call() }, now_ms, plan);
}

#[test]
fn only_one_statement_that_has_a_plan_is_explained() {
    for sql in ["select 1", "insert into t values (1)", "with a as (select 1) delete from t"] {
        assert!(call_of(sql).is_some(), "{sql}");
    }
    for sql in
        ["begin", "create table t (i int)", "select 1; select 2", "execute p", "copy t to stdout"]
    {
        assert!(call_of(sql).is_none(), "{sql}");
    }
    let long = format!("select '{}'", "x".repeat(LONGEST_TEXT));
    assert!(call_of(&long).is_none());
}

#[test]
fn what_has_changed_is_explained_first_and_then_what_takes_the_longest() {
    let candidates = || {
        let mut candidates: Vec<_> = (0..100).map(|n| candidate(n, false)).collect();
        candidates[70].has_changed = true;
        candidates[3].call = None;
        candidates
    };
    let mut book = PlanBook::default();
    let first = due(&book, candidates(), 0, NowAndThen);
    assert_eq!(first[..4], [70, 0, 1, 2]);
    assert_eq!(first.len(), TOP, "the changed one, and all of the top but the one without a call");

    explained(&mut book, 70, 0, Ok(seq_scan()));
    explained(&mut book, 0, 0, Ok(seq_scan()));
    assert_eq!(due(&book, candidates(), 1, NowAndThen)[..2], [1, 2]);
    // A minute later they are looked at again, behind those that have no plan.
    let later = due(&book, candidates(), MINUTE, NowAndThen);
    assert_eq!((later[0], later[1], later.last()), (70, 1, Some(&0)));
    // At the end there is no time to wait for that.
    assert_eq!(due(&book, candidates(), 1000, NowAndThen)[0], 1);
    assert_eq!(due(&book, candidates(), 1000, Occasion::End)[0], 70);
    assert_eq!(due(&book, candidates(), 999, Occasion::End)[0], 1);
}

#[test]
fn the_call_that_was_explained_is_explained_again() {
    let mut book = PlanBook::default();
    let (first, other) = (call(), call());
    book.explained(Due { fingerprint: 1, call: first.clone() }, 0, Ok(seq_scan()));
    let candidate = || Candidate { fingerprint: 1, has_changed: false, call: Some(other.clone()) };
    let due = book.due(vec![candidate()], MINUTE, NowAndThen);
    assert!(Arc::ptr_eq(&due[0].call, &first));
    // Unless it can't be any more.
    let gone = Err(SqlState(*b"42P01"));
    book.explained(Due { fingerprint: 1, call: first }, MINUTE, gone);
    let due = book.due(vec![candidate()], 10 * MINUTE, NowAndThen);
    assert!(Arc::ptr_eq(&due[0].call, &other));
}

#[test]
fn what_can_not_be_explained_is_tried_less_and_less_often_and_said() {
    let mut book = PlanBook::default();
    let refused = || Err(SqlState(*b"42P01"));
    explained(&mut book, 1, 0, refused());
    assert_eq!(due(&book, vec![candidate(1, true)], MINUTE, NowAndThen), [0u64; 0]);
    assert_eq!(due(&book, vec![candidate(1, true)], 2 * MINUTE, NowAndThen), [1]);
    explained(&mut book, 1, 2 * MINUTE, refused());
    assert_eq!(due(&book, vec![candidate(1, true)], 4 * MINUTE, NowAndThen), [0u64; 0]);
    assert_eq!(book.plans(1).refused.as_deref(), Some("42P01"));
    explained(&mut book, 1, 9 * MINUTE, Ok(seq_scan()));
    assert_eq!(book.plans(1).refused, None);
}

#[test]
fn each_change_of_the_targets_plan_is_kept_with_its_time() {
    let mut book = PlanBook::default();
    let costly = PlanNode { cost: 77.0, ..index_scan() };
    for (minute, plan) in
        [index_scan(), costly, seq_scan(), seq_scan(), index_scan()].into_iter().enumerate()
    {
        explained(&mut book, 1, minute as i64 * MINUTE, Ok(plan));
    }
    let plans = book.plans(1).target;
    let seen: Vec<_> =
        plans.iter().map(|seen| (&seen.since[11..16], &seen.until[11..16])).collect();
    assert_eq!(seen, [("00:00", "00:01"), ("00:02", "00:03"), ("00:04", "00:04")]);
    assert_eq!(plans[0].tree.cost, 77.0);
    assert_eq!(
        (&plans[0].hash, plans[1].tree.title()),
        (&plans[2].hash, "Seq Scan on t".to_owned())
    );
    // The newest few are enough.
    for n in 0..20 {
        explained(&mut book, 1, n, Ok(plan(&format!("Seq Scan on t_{n}"))));
    }
    let titles: Vec<_> = book.plans(1).target.iter().map(|seen| seen.tree.title()).collect();
    assert_eq!(titles.len(), KEPT);
    assert_eq!(titles.last().map(String::as_str), Some("Seq Scan on t_19"));
}

#[test]
fn the_sources_plans_are_each_kept_once_however_they_take_turns() {
    let mut book = PlanBook::default();
    for (ms, plan) in
        [(5000, index_scan()), (7000, seq_scan()), (4000, index_scan()), (9000, seq_scan())]
    {
        assert!(book.wants(1, ms));
        book.logged(1, ms, plan);
        assert!(!book.wants(1, ms + 999) && book.wants(2, ms));
    }
    let plans = book.plans(1).source;
    let seen: Vec<_> = plans
        .iter()
        .map(|seen| (seen.tree.title(), &seen.since[17..19], &seen.until[17..19]))
        .collect();
    let expected = [("Index Scan using t_w on t", "04", "05"), ("Seq Scan on t", "07", "09")];
    assert_eq!(seen, expected.map(|(title, since, until)| (title.to_owned(), since, until)));
    for fingerprint in 0..SHAPES as u64 + 50 {
        book.logged(fingerprint, 10_000 + fingerprint as i64, seq_scan());
    }
    assert_eq!(book.source.len(), SHAPES);
}

#[test]
fn what_has_changed_is_said_by_the_nodes_that_differ() {
    let seen = |since: &str, tree: PlanNode| PlanSeen {
        since: since.to_owned(),
        hash: tree.hash(),
        tree,
        ..PlanSeen::default()
    };
    let plans =
        |source: Vec<PlanSeen>, target: Vec<PlanSeen>| Plans { source, target, refused: None };
    let change = "Index Scan using t_w on t → Seq Scan on t";
    let against_source = plans(vec![seen("", index_scan())], vec![seen("", seq_scan())]);
    assert_eq!(against_source.change(), Some(format!("plan changed: {change}")));
    let same =
        plans(vec![seen("", seq_scan()), seen("", index_scan())], vec![seen("", seq_scan())]);
    assert_eq!(same.change(), None);
    let over_time = plans(vec![], vec![seen("", index_scan()), seen("14:05", seq_scan())]);
    assert_eq!(over_time.change(), Some(format!("plan changed at 14:05: {change}")));
    assert_eq!(plans(vec![], vec![seen("", seq_scan())]).change(), None);
    assert_eq!(plans(vec![seen("", seq_scan())], vec![]).change(), None);
}

fn used(book: &mut PlanBook, minute: i64, plan: PlanNode) {
    book.used(1, minute * MINUTE, plan);
}

/// The target's plans: by which node, from when until when, and who told them.
fn on_target(book: &PlanBook) -> Vec<(String, String, PlanOrigin)> {
    let times = |seen: &PlanSeen| format!("{}-{}", &seen.since[14..16], &seen.until[14..16]);
    let seen = book.plans(1).target;
    seen.iter().map(|it| (it.tree.node.clone(), times(it), it.from)).collect()
}

fn told(node: &str, times: &str, from: PlanOrigin) -> (String, String, PlanOrigin) {
    (node.to_owned(), times.to_owned(), from)
}

#[test]
fn a_plan_that_was_used_is_worth_more_than_one_that_was_asked_for() {
    let mut book = PlanBook::default();
    explained(&mut book, 1, 0, Ok(index_scan()));
    explained(&mut book, 2, 0, Ok(index_scan()));
    assert!(book.wants_used(1, MINUTE));
    used(&mut book, 1, seq_scan());
    assert!(!book.wants_used(1, MINUTE + 999) && book.wants_used(1, MINUTE + 1000));
    let seq_scan_alone = [told("Seq Scan", "01-01", PlanOrigin::AutoExplain)];
    assert_eq!(on_target(&book), seq_scan_alone, "what EXPLAIN said was another plan");
    let both = || vec![candidate(1, true), candidate(2, true)];
    assert_eq!(
        due(&book, both(), 9 * MINUTE, NowAndThen),
        [2],
        "it need not be asked for any more"
    );
    assert_eq!(due(&book, both(), 9 * MINUTE, Occasion::End), [2]);
    // What was under way meanwhile.
    explained(&mut book, 1, 2 * MINUTE, Ok(index_scan()));
    explained(&mut book, 1, 2 * MINUTE, Err(SqlState(*b"42P01")));
    assert_eq!(on_target(&book), seq_scan_alone);
    assert_eq!(book.plans(1).refused, None);
}

#[test]
fn what_explain_said_before_is_kept_where_it_was_right() {
    let mut book = PlanBook::default();
    explained(&mut book, 1, 0, Ok(index_scan()));
    explained(&mut book, 1, MINUTE, Ok(seq_scan()));
    used(&mut book, 2, seq_scan());
    let expected = [
        told("Index Scan", "00-00", PlanOrigin::Explain),
        told("Seq Scan", "01-02", PlanOrigin::AutoExplain),
    ];
    assert_eq!(on_target(&book), expected);
    let change =
        "used plan changed at 1970-01-01T00:01:00.000Z: Index Scan using t_w on t → Seq Scan on t";
    assert_eq!(book.plans(1).change().as_deref(), Some(change));
}

#[test]
fn plans_that_calls_use_in_turn_are_no_change_and_the_last_one_stands_last() {
    let mut book = PlanBook::default();
    for (minute, plan) in [(0, index_scan()), (1, seq_scan()), (2, index_scan()), (3, seq_scan())] {
        used(&mut book, minute, plan);
    }
    let expected = [
        told("Index Scan", "00-02", PlanOrigin::AutoExplain),
        told("Seq Scan", "01-03", PlanOrigin::AutoExplain),
    ];
    assert_eq!(on_target(&book), expected);
    assert_eq!(book.plans(1).change(), None);
    // Back to the first one for good.
    used(&mut book, 4, index_scan());
    assert_eq!(
        on_target(&book).last(),
        Some(&told("Index Scan", "00-04", PlanOrigin::AutoExplain))
    );
    assert_eq!(book.plans(1).change(), None);
}
