use super::*;

fn node(name: &str, relation: Option<&str>, children: Vec<PlanNode>) -> PlanNode {
    let relation = relation.map(str::to_owned);
    PlanNode { node: name.to_owned(), relation, children, ..PlanNode::default() }
}

fn plans(tree: PlanNode) -> Plans {
    Plans { target: vec![PlanSeen { tree, ..PlanSeen::default() }] }
}

fn marked(lines: &[PlanLine]) -> Vec<&str> {
    lines.iter().filter(|line| line.differs).map(|line| line.text.as_str()).collect()
}

#[test]
fn nodes_that_only_one_plan_has_are_marked() {
    let scan = || node("Seq Scan", Some("items"), vec![]);
    let by_index = PlanNode {
        index: Some("items_top".to_owned()),
        ..node("Index Scan", Some("items"), vec![])
    };
    let sorted = plans(node("Limit", None, vec![node("Sort", None, vec![scan()])]));
    let indexed = plans(node("Limit", None, vec![by_index]));
    let pair = PlanPair::of(&sorted, &indexed).unwrap();
    assert!(pair.changed());
    assert_eq!(marked(&pair.baseline), ["Sort", "Seq Scan on items"]);
    assert_eq!(marked(&pair.candidate), ["Index Scan on items using items_top"]);
    assert_eq!(pair.baseline.iter().map(|line| line.depth).collect::<Vec<_>>(), [0, 1, 2]);

    // A node more does not make those below it differ.
    let unsorted = plans(node("Limit", None, vec![scan()]));
    let pair = PlanPair::of(&unsorted, &sorted).unwrap();
    assert_eq!((marked(&pair.baseline), marked(&pair.candidate)), (vec![], vec!["Sort"]));
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
