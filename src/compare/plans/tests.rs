use super::*;
use crate::replay::report::plans::PlanSeen;

fn node(name: &str, relation: Option<&str>, children: Vec<PlanNode>) -> PlanNode {
    let relation = relation.map(str::to_owned);
    PlanNode { node: name.to_owned(), relation, children, ..PlanNode::default() }
}

fn plans(tree: PlanNode) -> Plans {
    Plans { target: vec![PlanSeen { tree, ..PlanSeen::default() }], ..Plans::default() }
}

fn marked(lines: &[PlanLine]) -> Vec<&str> {
    lines.iter().filter(|line| line.differs).map(|line| line.text.as_str()).collect()
}

#[test]
fn nodes_that_only_one_plan_has_are_marked_where_they_stand() {
    let scan = || node("Seq Scan", Some("orders"), vec![]);
    let joined =
        |other| plans(node("Limit", None, vec![node("Hash Join", None, vec![scan(), other])]));
    let hash = node("Hash", None, vec![node("Seq Scan", Some("items"), vec![])]);
    let by_index = PlanNode {
        index: Some("items_key".to_owned()),
        filter: Some("Index Cond: (id = ?)".to_owned()),
        ..node("Index Scan", Some("items"), vec![])
    };
    let pair = PlanPair::of(&joined(hash), &joined(by_index)).unwrap();
    assert!(pair.changed());
    assert_eq!(marked(&pair.baseline), ["Hash", "Seq Scan on items"]);
    assert_eq!(marked(&pair.candidate), ["Index Scan using items_key on items"]);
    let depths = |lines: &[PlanLine]| lines.iter().map(|line| line.depth).collect::<Vec<_>>();
    assert_eq!(depths(&pair.baseline), [0, 1, 2, 2, 3]);
    assert_eq!(pair.candidate[3].filter.as_deref(), Some("Index Cond: (id = ?)"));
}

#[test]
fn what_the_planner_expects_makes_no_other_plan() {
    let expects = |rows| plans(PlanNode { rows, ..node("Seq Scan", Some("t"), vec![]) });
    let pair = PlanPair::of(&expects(1.0), &expects(1000.0)).unwrap();
    assert!(pair.same && !pair.changed());
    let other = plans(node("Seq Scan", Some("u"), vec![]));
    assert!(PlanPair::of(&expects(1.0), &other).unwrap().changed());
}

#[test]
fn a_plan_that_only_one_report_has_differs_from_nothing() {
    let one = plans(node("Result", None, vec![]));
    let pair = PlanPair::of(&Plans::default(), &one).unwrap();
    assert!(!pair.same && !pair.changed());
    assert_eq!(marked(&pair.candidate), [""; 0]);
    assert_eq!(PlanPair::of(&Plans::default(), &Plans::default()), None);
}
