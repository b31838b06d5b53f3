//! What expressions do beyond computing: the queries and calls in them.

use pg_query::NodeEnum;
use pg_query::protobuf::Node;

use super::pins::type_name;
use super::{Analysis, Widening, qualified};

impl Analysis<'_> {
    pub(super) fn expressions<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) {
        nodes.into_iter().for_each(|node| self.expression(node));
    }

    pub(super) fn expression(&mut self, node: &Node) {
        use NodeEnum as N;
        let Some(node) = &node.node else { return };
        match node {
            N::AConst(_)
            | N::ParamRef(_)
            | N::ColumnRef(_)
            | N::AStar(_)
            | N::SetToDefault(_)
            | N::SqlvalueFunction(_)
            | N::CurrentOfExpr(_)
            | N::GroupingFunc(_)
            | N::MergeSupportFunc(_)
            | N::String(_)
            | N::Integer(_) => {}
            N::AExpr(operation) => {
                self.operator(&operation.name);
                self.expressions(operation.lexpr.as_deref());
                self.expressions(operation.rexpr.as_deref());
            }
            N::BoolExpr(operation) => self.expressions(&operation.args),
            N::NullTest(test) => self.expressions(test.arg.as_deref()),
            N::BooleanTest(test) => self.expressions(test.arg.as_deref()),
            N::TypeCast(cast) => {
                if let Some(to) = &cast.type_name {
                    let volatility = self.names.catalog.cast(type_name(to));
                    self.impure(volatility, Widening::VolatileOperator);
                }
                self.expressions(cast.arg.as_deref());
            }
            N::CollateClause(collate) => self.expressions(collate.arg.as_deref()),
            N::FuncCall(call) => self.call(call),
            N::NamedArgExpr(argument) => self.expressions(argument.arg.as_deref()),
            N::SubLink(link) => {
                self.operator(&link.oper_name);
                self.expressions(link.testexpr.as_deref());
                if let Some(query) = &link.subselect {
                    self.query(query);
                }
            }
            N::CaseExpr(case) => {
                self.expressions(case.arg.as_deref());
                self.expressions(&case.args);
                self.expressions(case.defresult.as_deref());
            }
            N::CaseWhen(when) => {
                self.expressions(when.expr.as_deref());
                self.expressions(when.result.as_deref());
            }
            N::CoalesceExpr(coalesce) => self.expressions(&coalesce.args),
            N::MinMaxExpr(least) => self.expressions(&least.args),
            N::RowExpr(row) => self.expressions(&row.args),
            N::AArrayExpr(array) => self.expressions(&array.elements),
            N::AIndirection(part) => {
                self.expressions(part.arg.as_deref());
                self.expressions(&part.indirection);
            }
            N::AIndices(indices) => {
                self.expressions(indices.lidx.as_deref());
                self.expressions(indices.uidx.as_deref());
            }
            N::XmlExpr(xml) => {
                self.expressions(&xml.named_args);
                self.expressions(&xml.args);
            }
            N::XmlSerialize(xml) => self.expressions(xml.expr.as_deref()),
            N::ResTarget(target) => {
                self.expressions(&target.indirection);
                self.expressions(target.val.as_deref());
            }
            N::MultiAssignRef(assigned) => self.expressions(assigned.source.as_deref()),
            N::SortBy(sort) => self.expressions(sort.node.as_deref()),
            N::WindowDef(window) => {
                self.expressions(&window.partition_clause);
                self.expressions(&window.order_clause);
                self.expressions(window.start_offset.as_deref());
                self.expressions(window.end_offset.as_deref());
            }
            N::GroupingSet(set) => self.expressions(&set.content),
            N::List(list) => self.expressions(&list.items),
            N::IndexElem(element) => self.expressions(element.expr.as_deref()),
            N::JsonIsPredicate(test) => self.expressions(test.expr.as_deref()),
            _ => self.barrier(Widening::Construct),
        }
    }

    fn operator(&mut self, name: &[Node]) {
        let volatility = self.names.catalog.operator(qualified(name).1);
        self.impure(volatility, Widening::VolatileOperator);
    }
}
