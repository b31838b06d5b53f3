//! The samples are what PostgreSQL 15 and 18 logged of the same statements, in both formats.

use serde_json::Value;

use super::logged::LoggedPlan;
use super::*;

fn samples() -> Vec<Value> {
    let files =
        [include_str!("tests/auto_explain-15.json"), include_str!("tests/auto_explain-18.json")];
    let samples = files.map(|file| serde_json::from_str::<Vec<Value>>(file).expect("samples"));
    samples.concat()
}

fn logged<'a>(sample: &'a Value, format: &str) -> LoggedPlan<'a> {
    let body = sample[format].as_str().expect("text");
    LoggedPlan::read(body).unwrap_or_else(|| panic!("no plan in {body}"))
}

fn tree(logged: &LoggedPlan<'_>) -> PlanNode {
    logged.plan().expect("a plan")
}

fn titles(plan: &PlanNode) -> Vec<String> {
    let below = plan.children.iter().flat_map(titles).map(|title| format!("  {title}"));
    std::iter::once(plan.title()).chain(below).collect()
}

/// The one whose statement begins like this, of PostgreSQL 15.
fn plan_of(query: &str) -> PlanNode {
    let samples = samples();
    let is_it = |sample: &&Value| sample["query"].as_str().is_some_and(|it| it.starts_with(query));
    tree(&logged(samples.iter().find(is_it).expect("a sample"), "text"))
}

#[test]
fn both_formats_and_an_analyzed_plan_make_one_tree() {
    for sample in samples() {
        let json = logged(&sample, "json");
        assert_eq!(json.query, sample["query"].as_str().expect("text"));
        for format in ["text", "analyzed"] {
            let text = logged(&sample, format);
            assert_eq!(text.query, json.query, "{format}");
            // They were logged a moment apart.
            assert_eq!(titles(&tree(&text)), titles(&tree(&json)), "{}", json.query);
            assert_eq!(tree(&text).hash(), tree(&json).hash());
            assert_eq!(tree(&text).filter, tree(&json).filter, "{}", json.query);
        }
    }
}

#[test]
fn no_literal_of_a_statement_is_left_in_its_plan() {
    for sample in samples() {
        let shown = serde_json::to_string(&tree(&logged(&sample, "text"))).expect("JSON");
        for literal in ["19990", "c9%", "it's", "it''s", "a -> b", "{1,2", "newline", "slash"] {
            assert!(!shown.contains(literal), "{literal} in {shown}");
        }
    }
}

#[test]
fn nodes_are_named_as_explain_names_them() {
    let plan = plan_of("select o.*, c.name");
    let expected = ["Hash Join", "  Seq Scan on orders", "  Hash", "    Seq Scan on cust"];
    assert_eq!(titles(&plan), expected);
    assert_eq!(plan.filter.as_deref(), Some("Hash Cond: (o.cust = c.id)"));
    let scan = &plan.children[0];
    assert_eq!(scan.filter.as_deref(), Some("Filter: (total > ?::numeric)"));
    assert_eq!((scan.rows, scan.cost), (10.0, 378.0));

    let plan = plan_of("select * from \"S x\"");
    assert_eq!(plan.title(), "Index Scan using I. x on T \"y");
    let plan = plan_of("select * from orders where cust in");
    let expected = [
        "Bitmap Heap Scan on orders",
        "  BitmapOr",
        "    Bitmap Index Scan using orders_cust",
        "    Bitmap Index Scan using orders_pkey",
    ];
    assert_eq!(titles(&plan), expected);
}

#[test]
fn parts_of_a_plan_stand_where_they_belong_whatever_they_are_called() {
    let plan = plan_of("with w as materialized");
    let expected =
        ["Hash Join", "  Seq Scan on orders", "  CTE Scan on w", "  Hash", "    Seq Scan on cust"];
    assert_eq!(titles(&plan), expected);
    let text = "\
Seq Scan on orders o  (cost=0.00..9.00 rows=5 width=4)
  Filter: (id = (SubPlan 2))
  InitPlan 1 (returns $0)
    ->  Limit  (cost=0.00..1.00 rows=1 width=4)
          ->  Seq Scan on a  (cost=0.00..1.00 rows=1 width=4)
  SubPlan 2
    ->  Result  (cost=0.00..2.00 rows=1 width=4)
          One-Time Filter: (7 > o.id)
JIT:
  Functions: 2
";
    let plan = read_text(text).expect("a plan");
    let expected = ["Seq Scan on orders", "  Limit", "    Seq Scan on a", "  Result"];
    assert_eq!(titles(&plan), expected);
    let filter = plan.children[1].filter.as_deref();
    assert_eq!(filter, Some("One-Time Filter: (? > o.id)"));
}

#[test]
fn a_plan_of_workers_is_told_from_one_without() {
    let body = "Query Text: select count(*) from orders where total > 5;
Finalize Aggregate  (cost=253.01..253.02 rows=1 width=8) (actual time=15.958..16.139 rows=1.00 loops=1)
  ->  Gather  (cost=252.99..253.00 rows=2 width=8) (actual time=7.923..16.131 rows=3.00 loops=1)
        Workers Planned: 2
        ->  Partial Aggregate  (cost=252.99..253.00 rows=1 width=8) (never executed)
              ->  Parallel Seq Scan on orders  (cost=0.00..232.17 rows=8331 width=0)
                    Filter: (total > '5'::numeric)
                    Rows Removed by Filter: 1";
    let plan = tree(&LoggedPlan::read(body).expect("a plan"));
    let last = "      Parallel Seq Scan on orders";
    assert_eq!(titles(&plan), ["Finalize Aggregate", "  Gather", "    Partial Aggregate", last]);
    let json = r#"[{"Plan": {"Node Type": "Aggregate", "Strategy": "Plain", "Partial Mode": "Finalize",
        "Plans": [{"Node Type": "Gather", "Plans": [{"Node Type": "Aggregate", "Strategy": "Plain",
        "Partial Mode": "Partial", "Plans": [{"Node Type": "Seq Scan", "Parallel Aware": true,
        "Relation Name": "orders", "Alias": "orders"}]}]}]}}]"#;
    assert_eq!(read_json(json).expect("a plan").hash(), plan.hash());
}

#[test]
fn parameters_of_a_statement_are_not_taken_for_its_text() {
    let body = "Query Text: select * from t where a = $1
Query Parameters: $1 = 'secret
Seq Scan on t  (cost=0.00..1.00 rows=1 width=1)'
Index Scan using i on t  (cost=0.00..1.00 rows=1 width=1)
  Index Cond: (a = 'secret'::text)";
    let logged = LoggedPlan::read(body).expect("a plan");
    assert_eq!(logged.query, "select * from t where a = $1");
    assert_eq!(tree(&logged).title(), "Index Scan using i on t");
}

#[test]
fn what_is_no_plan_that_can_be_read_is_none() {
    for body in [
        "",
        "Query Text: select 1",
        "Query Text: \"select 1\"\nPlan: \n  Node Type: \"Result\"\n  Total Cost: 0.01",
        "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query-Text>select 1",
        "{\"Query Text\": \"select 1\", \"Plan\": {\"Node Type\": \"Re",
        "Seq Scan on t  (cost=0.00..1.00 rows=1 width=1)",
    ] {
        let plan = LoggedPlan::read(body).and_then(|logged| logged.plan());
        assert_eq!(plan, None, "{body}");
    }
}

#[test]
fn a_plan_with_more_nodes_than_anybody_reads_is_cut() {
    let child = "  ->  Seq Scan on p  (cost=0.00..1.00 rows=1 width=1)\n";
    let text = format!("Append  (cost=0.00..9.00 rows=9 width=1)\n{}", child.repeat(500));
    let plan = read_text(&text).expect("a plan");
    assert_eq!(plan.size(), MOST_NODES + 1);
    assert_eq!(plan.children.last().map(PlanNode::title).as_deref(), Some("… 301 more"));
    let children = vec![r#"{"Node Type": "Seq Scan", "Alias": "p"}"#; 500].join(",");
    let json = format!(r#"{{"Plan": {{"Node Type": "Append", "Plans": [{children}]}}}}"#);
    assert_eq!(read_json(&json).expect("a plan").hash(), plan.hash());
}

#[test]
fn a_plan_that_nests_deeper_than_anybody_reads_is_cut_alike_in_both_formats() {
    for depth in [39, 40, 41, 55] {
        let plan = read_text(&text_of(depth)).expect("a plan");
        let levels = depth.min(MOST_LEVELS);
        assert_eq!(plan.size(), if depth > MOST_LEVELS { levels + 1 } else { levels }, "{depth}");
        let last = titles(&plan).pop().expect("a node");
        let left_out = format!("… {} more", depth - levels);
        let expected = if depth > MOST_LEVELS { left_out.as_str() } else { "Limit" };
        assert_eq!(last.trim_start(), expected);
        let read = read_json(&json_of(depth)).expect("a plan");
        assert_eq!(titles(&read), titles(&plan));
        // A condition of a node that is left out is no other's.
        assert_eq!(read.hash(), plan.hash());
        assert_eq!(read.filter, plan.filter);
    }
    // Read, hashed, compared and dropped.
    let deep = read_text(&text_of(1_000)).expect("a plan");
    assert!(difference(&deep, &deep.clone()).is_none());
    assert_eq!(titles(&deep).last().map(|it| it.trim_start()), Some("… 960 more"));
}

/// So many nodes, each below the one before, the last with a condition.
fn text_of(depth: usize) -> String {
    let node = "Limit  (cost=0.00..1.00 rows=1 width=1)\n";
    let below = (1..depth).map(|level| format!("{}->  {node}", " ".repeat(level)));
    let below: String = below.collect();
    format!("{node}{below}{}Filter: (a = 1)\n", " ".repeat(depth))
}

fn json_of(depth: usize) -> String {
    let last = r#"{"Node Type": "Limit", "Plan Rows": 1, "Filter": "(a = 1)"}"#.to_owned();
    let above = |below: String, _| format!(r#"{{"Node Type": "Limit", "Plans": [{below}]}}"#);
    format!(r#"{{"Plan": {}}}"#, (1..depth).fold(last, above))
}

#[test]
fn a_statement_that_quotes_what_is_no_node_hides_no_plan() {
    let costs = "  (cost=0..1 rows=1 width=4)";
    for title in [
        format!("Seq Scan on {}", "a.".repeat(100_000)),
        format!("Seq Scan \"{}", " on ".repeat(50_000)),
        "Seq Scan on a  (cost=".repeat(9_000),
        format!("Seq Scan on a{costs}\n").repeat(5_000),
    ] {
        let query = format!("select v from t /*\n{title}{costs}\n*/");
        let body = format!("Query Text: {query}\nSeq Scan on t  (cost=0.00..1.00 rows=1 width=4)");
        let logged = LoggedPlan::read(&body).expect("a plan");
        assert_eq!(logged.query, query);
        assert_eq!(tree(&logged).title(), "Seq Scan on t");
    }
}

#[test]
fn names_may_be_qualified_and_quoted() {
    let title = |text: &str| {
        let text = format!("{text}  (cost=0.00..1.00 rows=1 width=1)");
        read_text(&text).map(|plan| (plan.node, plan.index, plan.relation))
    };
    let node = |node: &str, index: Option<&str>, relation: &str| {
        Some((node.to_owned(), index.map(str::to_owned), Some(relation.to_owned())))
    };
    assert_eq!(
        title(r#"Index Scan using "i on ""j""" on public."a.b on c" x"#),
        node("Index Scan", Some(r#"i on "j""#), "a.b on c")
    );
    assert_eq!(title("Seq Scan on a.b.c d"), node("Seq Scan", None, "c"));
    assert_eq!(title(&format!("Seq Scan on {}", "a".repeat(2_000))), None);
}

#[test]
fn a_record_longer_than_any_plan_that_is_shown_is_not_read() {
    let body = |blanks: usize| {
        let query = format!("select{}1", " ".repeat(blanks));
        format!("Query Text: {query}\nResult  (cost=0.00..0.01 rows=1 width=4)")
    };
    assert!(LoggedPlan::read(&body(200_000)).is_some());
    assert_eq!(LoggedPlan::read(&body(300_000)), None);
}

#[test]
fn a_condition_that_is_not_whole_is_left_out() {
    let filter = |conditions: &str| {
        let costs = "  (cost=0.00..1.00 rows=1 width=4)";
        read_text(&format!("Seq Scan on t{costs}\n{conditions}")).expect("a plan").filter
    };
    assert_eq!(filter("  Filter: (v = 'SECRET"), None);
    assert_eq!(filter("  Index Cond: (v = 'SECRET\n  Filter: (v = 'SECRET"), None);
    assert_eq!(filter("  Filter: (v = ANY ('{SECRET,SEC"), None);
    assert_eq!(filter("  Filter: v) = (SECRET"), None);
    let kept = filter("  Index Cond: (a[1] = 2)\n  Filter: (v = 'SECRET");
    assert_eq!(kept.as_deref(), Some("Index Cond: (a[?] = ?)"));
    assert_eq!(filter("  Filter: (v = ')'::text)").as_deref(), Some("Filter: (v = ?::text)"));
}

#[test]
fn a_quote_in_the_name_of_a_cte_opens_no_literal() {
    let costs = "  (cost=0.00..1.00 rows=1 width=4)";
    let text = format!(
        "CTE Scan on \"it's\"{costs}\n  CTE it's\n    ->  Seq Scan on t{costs}\n          Filter: (v = 'a'::text)\n"
    );
    let plan = read_text(&text).expect("a plan");
    assert_eq!(titles(&plan), ["CTE Scan on it's", "  Seq Scan on t"]);
    assert_eq!(plan.children[0].filter.as_deref(), Some("Filter: (v = ?::text)"));
}

#[test]
fn a_hash_is_of_what_a_plan_does_and_not_of_what_it_costs() {
    let plan = plan_of("select o.*, c.name");
    // A report of another version of kreplay has to have the same.
    assert_eq!(plan.hash(), "5ca1218876a32133");
    let mut other = plan.clone();
    (other.cost, other.children[0].rows, other.filter) = (1.0, 5.0, None);
    assert_eq!(other.hash(), plan.hash());
    other.children[0].relation = Some("order".to_owned());
    assert_ne!(other.hash(), plan.hash());
    // Who is whose child counts.
    let scan = |title: &str| PlanNode { node: title.to_owned(), ..PlanNode::default() };
    let nested = PlanNode { children: vec![scan("b")], ..scan("a") };
    let flat = PlanNode { children: vec![nested, scan("c")], ..scan("r") };
    let deep = PlanNode { children: vec![scan("b"), scan("c")], ..scan("a") };
    assert_ne!(flat.hash(), PlanNode { children: vec![deep], ..scan("r") }.hash());
}

#[test]
fn nodes_that_differ_are_told_from_those_that_do_not() {
    let read = |text: &str| read_text(text).expect("a plan");
    let costs = "  (cost=0.00..1.00 rows=1 width=1)";
    let source = read(&format!(
        "Nested Loop{costs}\n  ->  Seq Scan on a{costs}\n  ->  Index Scan using b_i on b{costs}"
    ));
    let target = read(&format!(
        "Hash Join{costs}\n  ->  Seq Scan on a{costs}\n  ->  Hash{costs}\n        ->  Seq Scan on b{costs}"
    ));
    let marks = difference(&source, &target);
    assert_eq!(marks.first, [true, false, true]);
    assert_eq!(marks.second, [true, false, true, true]);
    let (before, after) = changed_node(&source, &target).expect("they differ");
    assert_eq!(before.title(), "Index Scan using b_i on b");
    assert_eq!(after.title(), "Seq Scan on b");
    assert_eq!(changed_node(&source, &source), None);
    assert!(difference(&target, &target).is_none());
}

#[test]
fn a_node_that_only_one_plan_has_does_not_mark_what_is_around_it() {
    let leaf = |node: &str| PlanNode { node: node.to_owned(), ..PlanNode::default() };
    let above = |children: Vec<PlanNode>| PlanNode { children, ..leaf("Append") };
    let first = above(vec![leaf("a"), leaf("b"), leaf("c")]);
    let second = above(vec![leaf("a"), leaf("c"), leaf("d")]);
    let marks = difference(&first, &second);
    assert_eq!(marks.first, [false, false, true, false]);
    assert_eq!(marks.second, [false, false, false, true]);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(Query Text: )?[a-zA-Z '\"\n>(){}.:=\\-]{0,200}(  \\(cost=0..1 rows=1 width=1\\))?") {
        let _ = LoggedPlan::read(&text).and_then(|logged| logged.plan());
        let _ = read_text(&text);
    }
}
