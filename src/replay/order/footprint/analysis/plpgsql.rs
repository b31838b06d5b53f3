//! The bodies of PL/pgSQL functions: their expressions and statements, and what they assign.

use std::collections::BTreeSet;

use pg_query::ParserOptions;
use serde_json::Value as Json;

use crate::replay::order::footprint::Widening;
use crate::replay::order::footprint::catalog::RoutineRow;
use crate::sql::lexer::{Lexer, Token};

/// What a body is made of, whatever the order it is run in.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Its expressions and statements, each with what the parser has to take it for.
    pub(super) parts: Vec<(String, ParserOptions)>,
    pub(super) variables: Vec<Variable>,
    /// The variables that are assigned to.
    pub(super) assigned: BTreeSet<String>,
    /// The fields of records that are assigned to.
    pub(super) assigned_fields: BTreeSet<(String, String)>,
    /// Whether it returns another row than NEW or OLD.
    pub(super) returns_other: bool,
}

/// A variable or an argument.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) type_name: String,
    /// The expression that it starts with.
    pub(super) default: Option<String>,
}

/// Variables that a trigger's function is given, as its own declarations would read.
const OF_TRIGGERS: &str = "new record; old record; tg_name text; tg_when text; tg_level text; \
    tg_op text; tg_relid oid; tg_relname text; tg_table_name text; tg_table_schema text; \
    tg_nargs integer; tg_argv text[];";

impl Body {
    pub(super) fn of(routine: &RoutineRow) -> Result<Self, Widening> {
        let is_trigger = routine.returns == "trigger";
        let texts = if is_trigger { trigger_texts(routine) } else { vec![function_text(routine)] };
        let parse = |text: &String| std::panic::catch_unwind(|| pg_query::parse_plpgsql(text));
        let parsed = texts.iter().find_map(|text| parse(text).ok()?.ok());
        let parsed = parsed.ok_or(Widening::Unparsable)?;
        let mut reading = Reading { datums: &[], body: Self::default() };
        let Some(function) = parsed.get(0).and_then(|it| it.get("PLpgSQL_function")) else {
            return Err(Widening::Unparsable);
        };
        reading.datums = function.get("datums").and_then(Json::as_array).map_or(&[], |it| it);
        reading.variables();
        reading.read(function)?;
        let mut body = reading.body;
        body.aliases(&routine.body);
        body.returns_other = is_trigger && returns_other(&routine.body);
        Ok(body)
    }

    /// `name ALIAS FOR $1`: another name of a variable, which is taken for one of its own.
    fn aliases(&mut self, text: &str) {
        let words: Vec<&str> = Lexer::new(text).map(|(_, range)| &text[range]).collect();
        for at in words.windows(3) {
            if at[1].eq_ignore_ascii_case("alias") && at[2].eq_ignore_ascii_case("for") {
                let name = match at[0].strip_prefix('"') {
                    Some(quoted) => quoted.trim_end_matches('"').to_owned(),
                    None => at[0].to_ascii_lowercase(),
                };
                let type_name = String::new();
                self.variables.push(Variable { name, type_name, default: None });
            }
        }
    }
}

struct Reading<'a> {
    datums: &'a [Json],
    body: Body,
}

impl Reading<'_> {
    fn variables(&mut self) {
        for datum in self.datums {
            let Some((_, fields)) = single(datum) else { continue };
            let Some(name) = text(fields, "refname") else { continue };
            let type_name = fields.pointer("/datatype/PLpgSQL_type/typname");
            let default = fields.pointer("/default_val/PLpgSQL_expr/query");
            self.body.variables.push(Variable {
                name: name.to_owned(),
                type_name: type_name.and_then(Json::as_str).unwrap_or_default().to_owned(),
                default: default.and_then(Json::as_str).map(str::to_owned),
            });
        }
    }

    /// Reads a node and all below it.
    fn read(&mut self, node: &Json) -> Result<(), Widening> {
        match node {
            Json::Array(nodes) => nodes.iter().try_for_each(|node| self.read(node)),
            Json::Object(fields) => {
                fields.iter().try_for_each(|(name, below)| self.field(name, below))
            }
            _ => Ok(()),
        }
    }

    fn field(&mut self, name: &str, below: &Json) -> Result<(), Widening> {
        match name {
            "PLpgSQL_stmt_dynexecute" | "PLpgSQL_stmt_dynfors" | "dynquery" => {
                return Err(Widening::DynamicSql);
            }
            "PLpgSQL_stmt_commit" | "PLpgSQL_stmt_rollback" => return Err(Widening::Command),
            "PLpgSQL_expr" => return self.expression(below),
            "PLpgSQL_stmt_assign" | "PLpgSQL_stmt_foreach_a" => self.assign(index(below, "varno")),
            "PLpgSQL_diag_item" => self.assign(index(below, "target")),
            "PLpgSQL_row" => {
                let fields = below.get("fields").and_then(Json::as_array);
                for field in fields.into_iter().flatten().filter(|field| !field.is_null()) {
                    self.assign(index(field, "varno"));
                }
            }
            "target" | "var" => {
                if let Some(name) = single(below).and_then(|(_, fields)| text(fields, "refname")) {
                    self.body.assigned.insert(name.to_owned());
                }
            }
            _ if name.starts_with("PLpgSQL_") && !KNOWN.contains(&name) => {
                return Err(Widening::Construct);
            }
            _ => {}
        }
        self.read(below)
    }

    fn expression(&mut self, expression: &Json) -> Result<(), Widening> {
        let mode = expression.get("parseMode").and_then(Json::as_u64);
        let options = match mode {
            Some(0) | None => ParserOptions::DEFAULT,
            Some(2) => ParserOptions::PLPGSQL_EXPR,
            Some(3) => ParserOptions::PLPGSQL_ASSIGN1,
            Some(4) => ParserOptions::PLPGSQL_ASSIGN2,
            Some(5) => ParserOptions::PLPGSQL_ASSIGN3,
            Some(_) => return Err(Widening::Construct),
        };
        let query = text(expression, "query").ok_or(Widening::Construct)?;
        self.body.parts.push((query.to_owned(), options));
        Ok(())
    }

    /// Notes that a datum is assigned to.
    fn assign(&mut self, number: usize) {
        let Some((kind, datum)) = self.datums.get(number).and_then(single) else { return };
        if kind == "PLpgSQL_recfield" {
            let parent = self.datums.get(index(datum, "recparentno")).and_then(single);
            let record = parent.and_then(|(_, record)| text(record, "refname"));
            let field = text(datum, "fieldname");
            if let (Some(record), Some(field)) = (record, field) {
                self.body.assigned_fields.insert((record.to_owned(), field.to_owned()));
            }
        } else if let Some(name) = text(datum, "refname") {
            self.body.assigned.insert(name.to_owned());
        }
    }
}

/// What a body may hold besides what is read for itself.
const KNOWN: [&str; 33] = [
    "PLpgSQL_function",
    "PLpgSQL_var",
    "PLpgSQL_rec",
    "PLpgSQL_recfield",
    "PLpgSQL_type",
    "PLpgSQL_stmt_block",
    "PLpgSQL_exception_block",
    "PLpgSQL_exception",
    "PLpgSQL_condition",
    "PLpgSQL_stmt_if",
    "PLpgSQL_if_elsif",
    "PLpgSQL_stmt_case",
    "PLpgSQL_case_when",
    "PLpgSQL_stmt_loop",
    "PLpgSQL_stmt_while",
    "PLpgSQL_stmt_fori",
    "PLpgSQL_stmt_fors",
    "PLpgSQL_stmt_forc",
    "PLpgSQL_stmt_exit",
    "PLpgSQL_stmt_return",
    "PLpgSQL_stmt_return_next",
    "PLpgSQL_stmt_return_query",
    "PLpgSQL_stmt_raise",
    "PLpgSQL_raise_option",
    "PLpgSQL_stmt_assert",
    "PLpgSQL_stmt_execsql",
    "PLpgSQL_stmt_getdiag",
    "PLpgSQL_stmt_open",
    "PLpgSQL_stmt_fetch",
    "PLpgSQL_stmt_close",
    "PLpgSQL_stmt_perform",
    "PLpgSQL_stmt_call",
    "PLpgSQL_stmt_null",
];

/// The only field of an object.
fn single(object: &Json) -> Option<(&str, &Json)> {
    object.as_object()?.iter().next().map(|(name, below)| (name.as_str(), below))
}

fn text<'j>(fields: &'j Json, name: &str) -> Option<&'j str> {
    fields.get(name)?.as_str()
}

/// The number in a field. Zero is left out.
fn index(fields: &Json, name: &str) -> usize {
    let number = fields.get(name).and_then(Json::as_u64).unwrap_or(0);
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The function's text again. Its scalar types don't matter to the parser.
fn function_text(routine: &RoutineRow) -> String {
    let mut arguments = Vec::new();
    for argument in &routine.arguments {
        let mode = match argument.mode {
            'o' | 't' => "OUT ",
            'b' => "INOUT ",
            _ => "",
        };
        let name = match argument.name.as_str() {
            "" => String::new(),
            name => format!("\"{}\" ", name.replace('"', "\"\"")),
        };
        let type_name = match argument.type_name.as_str() {
            "refcursor" => "refcursor",
            _ => "integer",
        };
        arguments.push(format!("{mode}{name}{type_name}"));
    }
    let arguments = arguments.join(", ");
    if routine.is_procedure {
        return create(&format!("PROCEDURE body({arguments})"), &routine.body);
    }
    let outputs = routine.arguments.iter().filter(|it| matches!(it.mode, 'o' | 't' | 'b')).count();
    let set = if routine.returns_set { "SETOF " } else { "" };
    let returns = match (routine.returns.as_str(), outputs) {
        ("void", 0) => "void",
        (_, 0 | 1) => "integer",
        _ => "record",
    };
    create(&format!("FUNCTION body({arguments}) RETURNS {set}{returns}"), &routine.body)
}

/// A trigger's function as an ordinary one around the same block, with or without a semicolon at its
/// end: of triggers the parser's answer can't be read.
fn trigger_texts(routine: &RoutineRow) -> Vec<String> {
    let body = routine.body.trim_start();
    let mut start = 0;
    for line in body.split_inclusive('\n').take_while(|line| line.starts_with('#')) {
        start += line.len();
    }
    let (options, block) = body.split_at(start);
    let wrap = |end: &str| {
        let body = format!("{options}\nDECLARE {OF_TRIGGERS} BEGIN\n{block}\n{end} END");
        create("FUNCTION body() RETURNS integer", &body)
    };
    vec![wrap(""), wrap(";")]
}

/// The body with `record` for each `table%ROWTYPE`: without a catalog the parser does not know that it
/// has fields.
fn with_records(body: &str) -> String {
    let tokens: Vec<_> = Lexer::new(body).collect();
    let is = |at: usize, text: &str| {
        tokens.get(at).is_some_and(|(_, range)| body[range.clone()].eq_ignore_ascii_case(text))
    };
    let is_name = |at: usize| matches!(tokens[at].0, Token::Word | Token::Quoted);
    let (mut text, mut end) = (String::with_capacity(body.len()), 0);
    for at in 2..tokens.len() {
        if !is(at, "%") || !is(at + 1, "rowtype") || !is_name(at - 1) {
            continue;
        }
        let mut first = at - 1;
        while first >= 2 && is(first - 1, ".") && is_name(first - 2) {
            first -= 2;
        }
        // Behind the variable's name.
        if first > 0 && is_name(first - 1) {
            text.push_str(&body[end..tokens[first].1.start]);
            text.push_str("record");
            end = tokens[at + 1].1.end;
        }
    }
    text.push_str(&body[end..]);
    text
}

fn create(head: &str, body: &str) -> String {
    let body = with_records(body);
    let mut tag = "$body$".to_owned();
    while body.contains(&tag) {
        tag.insert(1, 'x');
    }
    format!("CREATE {head} LANGUAGE plpgsql AS {tag}{body}\n{tag}")
}

/// Whether a trigger's function may return another row than NEW or OLD.
fn returns_other(body: &str) -> bool {
    let tokens: Vec<(Token, &str)> =
        Lexer::new(body).map(|(token, range)| (token, &body[range])).collect();
    (0..tokens.len()).any(|at| {
        let (token, word) = tokens[at];
        if token != Token::Word || !word.eq_ignore_ascii_case("return") {
            return false;
        }
        let rest = tokens[at + 1..].iter().take_while(|(token, _)| *token != Token::Semicolon);
        let rest: Vec<String> = rest.map(|(_, word)| word.to_ascii_lowercase()).collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        !matches!(
            rest.as_slice(),
            ["new" | "old" | "null"] | ["coalesce", "(", "new" | "old", ",", "new" | "old", ")"]
        )
    })
}
