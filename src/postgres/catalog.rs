//! Reads what has to be known of a database to tell what a statement does to it: as a whole at first,
//! and what has changed since.

mod queries;

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::try_join;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Row, Statement};

use super::error::ObserveError;
use super::observer::Observer;
use crate::replay::order::footprint::catalog::{
    ArgumentRow, Changed, ColumnRow, DependencyRow, Dependent, ForeignKeyRow, FunctionRow, HeirRow,
    ImpureRow, IndexRow, Marks, Needed, Oid, RelationRow, RoutineRow, Rows, RuleRow, SettingRow,
    TriggerRow, Update, Volatility,
};

/// Reads the catalog of one database again and again.
pub struct CatalogReader {
    observer: Observer,
    /// By what they are the preparation of.
    statements: RefCell<HashMap<String, Statement>>,
    known: Option<(Marks, Rows)>,
}

/// What a reading has found.
#[derive(Debug)]
pub struct CatalogRows<'a> {
    /// What the catalog says by now.
    pub rows: &'a Rows,
    /// Whether that may be other than at the reading before; so it is at the first.
    pub has_changed: bool,
}

/// The relations that rows are read of.
#[derive(Clone, Copy)]
enum Of<'a> {
    All,
    These(&'a [Oid]),
}

impl CatalogReader {
    /// Reads over this connection, which shows the catalog of its database.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn new(observer: Observer) -> Result<Self, ObserveError> {
        // To plan these queries takes longer than to run them where little has changed.
        observer.client().batch_execute("SET plan_cache_mode = force_generic_plan").await?;
        Ok(Self { observer, statements: RefCell::default(), known: None })
    }

    /// Whether the connection has ended; another has to be opened then.
    pub fn is_closed(&self) -> bool {
        self.observer.is_closed()
    }

    /// What the catalog says by now. What is as it was when it was read last is not read again.
    ///
    /// # Errors
    ///
    /// The connection has ended, or its user may not read the catalog.
    pub async fn read(&mut self) -> Result<CatalogRows<'_>, ObserveError> {
        // What changes behind this shows at the next reading.
        let marks = self.marks().await?;
        let (rows, has_changed) = match self.known.take() {
            None => (self.whole().await?, true),
            Some((before, mut rows)) => match marks.changed_since(&before) {
                Changed::All => (self.whole().await?, true),
                Changed::Some { relations, gone, functions } => {
                    let update = self.update(relations, gone, functions).await?;
                    let has_changed = rows.update(update);
                    (rows, has_changed)
                }
            },
        };
        Ok(CatalogRows { rows: &self.known.insert((marks, rows)).1, has_changed })
    }

    async fn marks(&self) -> Result<Marks, ObserveError> {
        let mut marks = Marks::default();
        for row in self.query(queries::MARKS.to_owned(), Of::All).await? {
            let row = Reader(&row);
            let mark = row.get("mark")?;
            match row.get("part")? {
                "s" => marks.shared = mark,
                "f" => marks.functions = mark,
                _ => {
                    marks.relations.insert(row.get("relation")?, mark);
                }
            }
        }
        Ok(marks)
    }

    async fn whole(&self) -> Result<Rows, ObserveError> {
        let (settings, relations, functions) =
            try_join!(self.settings(), self.relations(Of::All), self.functions(0))?;
        Ok(Rows {
            settings,
            functions: functions.functions,
            routines: functions.routines,
            operators: functions.operators,
            types: functions.types,
            ..relations
        })
    }

    async fn update(
        &self,
        relations: Vec<Oid>,
        gone: Vec<Oid>,
        functions: bool,
    ) -> Result<Update, ObserveError> {
        let settings = self.settings().await?;
        let read = match relations.is_empty() {
            true => Rows::default(),
            false => self.relations(Of::These(&relations)).await?,
        };
        let functions = match functions {
            true => Some(self.functions(FIRST_OWN).await?),
            false => None,
        };
        let replaced = [relations, gone].concat();
        let relations = (!replaced.is_empty()).then_some((replaced, read));
        Ok(Update { settings, relations, functions })
    }

    async fn settings(&self) -> Result<Vec<SettingRow>, ObserveError> {
        self.rows(queries::SETTINGS, Of::All, setting).await
    }

    /// The relations, and what belongs to each of them.
    async fn relations(&self, of: Of<'_>) -> Result<Rows, ObserveError> {
        let (relations, heirs, columns, indexes) = try_join!(
            self.rows(queries::RELATIONS, of, relation),
            self.rows(queries::HEIRS, of, heir),
            self.rows(queries::COLUMNS, of, column),
            self.rows(queries::INDEXES, of, index),
        )?;
        let (foreign_keys, triggers, rules, mut dependencies) = try_join!(
            self.rows(queries::FOREIGN_KEYS, of, foreign_key),
            self.rows(queries::TRIGGERS, of, trigger),
            self.rows(queries::RULES, of, rule),
            self.rows(queries::DEPENDENCIES, of, dependency),
        )?;
        dependencies.sort_by_key(|it: &DependencyRow| (it.relation, it.dependent, it.needed));
        Ok(Rows {
            relations,
            heirs,
            columns,
            indexes,
            foreign_keys,
            triggers,
            rules,
            dependencies,
            ..Rows::default()
        })
    }

    /// The functions from this number on, and what depends on them: triggers too.
    async fn functions(&self, from: Oid) -> Result<Rows, ObserveError> {
        let functions = queries::FUNCTIONS.replace("{from}", &from.to_string());
        let (functions, routines, triggers, operators, types) = try_join!(
            self.rows(&functions, Of::All, function),
            self.rows(queries::ROUTINES, Of::All, routine),
            self.rows(queries::TRIGGERS, Of::All, trigger),
            self.rows(queries::OPERATORS, Of::All, impure),
            self.rows(queries::TYPES, Of::All, impure),
        )?;
        Ok(Rows { functions, routines, triggers, operators, types, ..Rows::default() })
    }

    async fn rows<T>(
        &self,
        query: &str,
        of: Of<'_>,
        row: fn(&Reader<'_>) -> Result<T, ObserveError>,
    ) -> Result<Vec<T>, ObserveError> {
        let which = match of {
            Of::All => "IS NOT NULL",
            Of::These(_) => "= ANY ($1)",
        };
        let rows = self.query(query.replace("{of}", which), of).await?;
        rows.iter().map(|read| row(&Reader(read))).collect()
    }

    async fn query(&self, query: String, of: Of<'_>) -> Result<Vec<Row>, ObserveError> {
        let prepared = self.statements.borrow().get(&query).cloned();
        let client = self.observer.client();
        let statement = match prepared {
            Some(statement) => statement,
            None => {
                let statement = client.prepare(&query).await?;
                self.statements.borrow_mut().insert(query, statement.clone());
                statement
            }
        };
        Ok(match of {
            Of::All => client.query(&statement, &[]).await?,
            Of::These(relations) => {
                client.query(&statement, &[&relations as &(dyn ToSql + Sync)]).await?
            }
        })
    }
}

/// The first number of what is not PostgreSQL's own.
const FIRST_OWN: Oid = 16384;

struct Reader<'a>(&'a Row);

impl<'a> Reader<'a> {
    fn get<T: FromSql<'a>>(&self, column: &str) -> Result<T, ObserveError> {
        Ok(self.0.try_get(column)?)
    }

    /// A `"char"`, cast to text.
    fn code(&self, column: &str) -> Result<char, ObserveError> {
        let text: &str = self.get(column)?;
        Ok(text.chars().next().unwrap_or_default())
    }

    fn volatility(&self, column: &str) -> Result<Volatility, ObserveError> {
        Ok(match self.code(column)? {
            'i' => Volatility::Immutable,
            's' => Volatility::Stable,
            _ => Volatility::Volatile,
        })
    }
}

fn setting(row: &Reader<'_>) -> Result<SettingRow, ObserveError> {
    Ok(SettingRow { role: row.get("role")?, name: row.get("name")?, value: row.get("value")? })
}

fn relation(row: &Reader<'_>) -> Result<RelationRow, ObserveError> {
    Ok(RelationRow {
        oid: row.get("oid")?,
        schema: row.get("schema")?,
        name: row.get("name")?,
        kind: row.code("kind")?,
    })
}

fn heir(row: &Reader<'_>) -> Result<HeirRow, ObserveError> {
    Ok(HeirRow {
        child: row.get("child")?,
        parent: row.get("parent")?,
        is_partition: row.get("is_partition")?,
    })
}

fn column(row: &Reader<'_>) -> Result<ColumnRow, ObserveError> {
    Ok(ColumnRow {
        relation: row.get("relation")?,
        number: row.get("number")?,
        name: row.get("name")?,
        type_oid: row.get("type_oid")?,
        modifier: row.get("modifier")?,
        not_null: row.get("not_null")?,
        is_deterministic: row.get("is_deterministic")?,
        is_generated: row.get("is_generated")?,
        has_default: row.get("has_default")?,
    })
}

fn index(row: &Reader<'_>) -> Result<IndexRow, ObserveError> {
    Ok(IndexRow {
        oid: row.get("oid")?,
        relation: row.get("relation")?,
        columns: row.get("columns")?,
        mentions: row.get("mentions")?,
        is_primary: row.get("is_primary")?,
        is_immediate: row.get("is_immediate")?,
        is_whole: row.get("is_whole")?,
        is_unique: row.get("is_unique")?,
    })
}

fn foreign_key(row: &Reader<'_>) -> Result<ForeignKeyRow, ObserveError> {
    Ok(ForeignKeyRow {
        oid: row.get("oid")?,
        child: row.get("child")?,
        child_columns: row.get("child_columns")?,
        parent: row.get("parent")?,
        parent_columns: row.get("parent_columns")?,
        on_update: row.code("on_update")?,
        on_delete: row.code("on_delete")?,
    })
}

fn trigger(row: &Reader<'_>) -> Result<TriggerRow, ObserveError> {
    Ok(TriggerRow {
        oid: row.get("oid")?,
        relation: row.get("relation")?,
        kind: row.get("kind")?,
        columns: row.get("columns")?,
        is_harmless: row.get("is_harmless")?,
        function: row.get("function")?,
        is_plain: row.get("is_plain")?,
        transition_tables: row.get("transition_tables")?,
    })
}

fn rule(row: &Reader<'_>) -> Result<RuleRow, ObserveError> {
    Ok(RuleRow { oid: row.get("oid")?, relation: row.get("relation")?, event: row.code("event")? })
}

fn dependency(row: &Reader<'_>) -> Result<DependencyRow, ObserveError> {
    let needed = row.get("needed")?;
    Ok(DependencyRow {
        relation: row.get("relation")?,
        dependent: match row.get("dependent")? {
            "default" => Dependent::Default(row.get("number")?),
            "check" => Dependent::Check,
            _ => Dependent::Query,
        },
        needed: match row.get("function")? {
            true => Needed::Function(needed),
            false => Needed::Relation(needed),
        },
    })
}

fn function(row: &Reader<'_>) -> Result<FunctionRow, ObserveError> {
    Ok(FunctionRow {
        oid: row.get("oid")?,
        schema: row.get("schema")?,
        name: row.get("name")?,
        volatility: row.volatility("volatility")?,
        is_in_c: row.get("is_in_c")?,
        is_built_in: row.get("is_built_in")?,
    })
}

fn routine(row: &Reader<'_>) -> Result<RoutineRow, ObserveError> {
    let (names, modes): (Vec<String>, Vec<String>) = (row.get("names")?, row.get("modes")?);
    let types: Vec<String> = row.get("types")?;
    let argument = |(at, type_name): (usize, String)| ArgumentRow {
        name: names.get(at).cloned().unwrap_or_default(),
        mode: modes.get(at).and_then(|mode| mode.chars().next()).unwrap_or('i'),
        type_name,
    };
    Ok(RoutineRow {
        oid: row.get("oid")?,
        schema: row.get("schema")?,
        name: row.get("name")?,
        language: row.get("language")?,
        body: row.get("body")?,
        arguments: types.into_iter().enumerate().map(argument).collect(),
        defaults: row.get("defaults")?,
        is_variadic: row.get("is_variadic")?,
        is_procedure: row.get("is_procedure")?,
        returns: row.get("returns")?,
        returns_set: row.get("returns_set")?,
        runs_as: row.get("runs_as")?,
        settings: row.get("settings")?,
    })
}

fn impure(row: &Reader<'_>) -> Result<ImpureRow, ObserveError> {
    Ok(ImpureRow { name: row.get("name")?, volatility: row.volatility("volatility")? })
}
