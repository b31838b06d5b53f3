//! What an expression asks for.

use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::{
    self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, ParenExpr, VectorSelector,
};

/// What stands for `$__rate_interval` in what is parsed: an interval that nobody writes.
pub const RATE_INTERVAL: Duration = Duration::from_secs(253);

/// Fills in Grafana's variables; `$job` and `$instance` become what "All" stands for.
pub fn fill_in(expression: &str, rate_interval: Duration, range: Duration) -> String {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let filled = expression
        .replace("$__rate_interval", &seconds(rate_interval))
        .replace("$__range", &seconds(range))
        .replace("$job", ".+")
        .replace("$instance", ".+");
    assert!(!filled.contains('$'), "an unknown variable in {expression}");
    filled
}

/// The expression, with [`RATE_INTERVAL`] and an hour for the time range.
pub fn parse(expression: &str) -> Result<Expr, String> {
    parser::parse(&expression.replace("$__rate_interval", "253s").replace("$__range", "1h"))
}

/// A selector and what is made of it.
#[derive(Debug)]
pub struct Selector {
    pub name: String,
    pub matchers: Vec<Matcher>,
    /// `[5m]`.
    pub window: Option<Duration>,
    /// The function that it is directly an argument of.
    pub function: Option<&'static str>,
    /// The labels that the aggregations around it keep; `None` where there are none around it.
    pub kept: Option<Vec<String>>,
}

impl Selector {
    /// The labels that it names, in matchers and in what is aggregated by.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let kept = self.kept.iter().flatten().map(String::as_str);
        self.matchers.iter().map(|matcher| matcher.name.as_str()).chain(kept)
    }
}

/// Every selector of an expression.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let parsed = parse(expression).unwrap_or_else(|error| panic!("{error}: {expression}"));
    let mut found = Vec::new();
    collect(&parsed, None, None, &mut found);
    found
}

fn collect(
    expr: &Expr,
    function: Option<&'static str>,
    kept: Option<&[String]>,
    found: &mut Vec<Selector>,
) {
    let mut note = |selector: &VectorSelector, window| {
        found.push(Selector {
            name: selector.name.clone().unwrap_or_default(),
            matchers: selector.matchers.matchers.clone(),
            window,
            function,
            kept: kept.map(<[String]>::to_vec),
        });
    };
    match expr {
        Expr::VectorSelector(selector) => note(selector, None),
        Expr::MatrixSelector(matrix) => note(&matrix.vs, Some(matrix.range)),
        Expr::Aggregate(AggregateExpr { expr, modifier, .. }) => {
            let by = match modifier {
                Some(LabelModifier::Include(labels)) => labels.labels.clone(),
                Some(LabelModifier::Exclude(_)) => {
                    panic!("`without` is not looked through: {expr}")
                }
                None => Vec::new(),
            };
            // The outermost aggregation decides what comes out, each names labels that must exist.
            let all: Vec<_> = by.into_iter().chain(kept.into_iter().flatten().cloned()).collect();
            collect(expr, None, Some(&all), found);
        }
        Expr::Call(Call { func, args }) => {
            for argument in &args.args {
                collect(argument, Some(func.name), kept, found);
            }
        }
        Expr::Binary(BinaryExpr { lhs, rhs, .. }) => {
            collect(lhs, None, kept, found);
            collect(rhs, None, kept, found);
        }
        Expr::Paren(ParenExpr { expr }) => collect(expr, function, kept, found),
        Expr::Unary(unary) => collect(&unary.expr, None, kept, found),
        Expr::Subquery(subquery) => collect(&subquery.expr, function, kept, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// What an alert looks at, without what makes it one: both sides of `and`, `or`, `unless` and of comparisons, what must
/// be absent. Each of them always has a value.
pub fn operands(expression: &str) -> Vec<String> {
    fn split(expr: &Expr, operands: &mut Vec<String>) {
        match expr {
            Expr::Binary(BinaryExpr { op, lhs, rhs, .. })
                if op.is_comparison_operator() || op.is_set_operator() =>
            {
                split(lhs, operands);
                split(rhs, operands);
            }
            Expr::Paren(ParenExpr { expr }) => split(expr, operands),
            Expr::Call(Call { func, args }) if func.name == "absent" => {
                args.args.iter().for_each(|argument| split(argument, operands));
            }
            Expr::NumberLiteral(_) => {}
            _ => operands.push(expr.to_string()),
        }
    }
    let mut operands = Vec::new();
    split(&parse(expression).expect("PromQL"), &mut operands);
    operands
}

#[test]
fn an_alert_is_taken_apart_into_what_always_has_a_value() {
    let alert =
        r#"sum by (job) (rate(a_total{b="c"}[5m])) / d > 0.01 and on (job) (e == 0 or absent(f))"#;
    let expected = [r#"sum by (job) (rate(a_total{b="c"}[5m])) / d"#, "e", "f"];
    assert_eq!(operands(alert), expected);
}

#[test]
fn a_selector_is_known_with_its_labels_its_window_and_its_function() {
    let found = selectors(r#"sum by (le) (rate(a_bucket{b="c"}[$__rate_interval])) / -sum(d)"#);
    let [bucket, d] = &*found else { panic!("{found:?}") };
    assert_eq!(
        (bucket.name.as_str(), bucket.window, bucket.function),
        ("a_bucket", Some(RATE_INTERVAL), Some("rate"))
    );
    assert_eq!(bucket.labels().collect::<Vec<_>>(), ["b", "le"]);
    assert_eq!((d.name.as_str(), d.window, d.function, d.labels().count()), ("d", None, None, 0));
}
