//! Footprints of statements, in the order of the log.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashSet};

use super::analysis;
use super::catalog::Catalog;
use super::literals::{Call, Parameters, Read};
use super::sessions::{Effect, Session};
use super::template::{self, Names, Template};
use super::{Access, Footprint, Tables, Widening};
use crate::pglog::statement::{Protocol, SourceEnd};
use crate::pglog::{SessionId, SqlState};
use crate::replay::order::draws;
use crate::replay::settings::Login;
use crate::replay::work::{End, Work};
use crate::sql::shape::Shape;
use crate::sql::{self, Command, Outline};

/// How many shapes are kept. When there are more, those go that were not met since the last time.
const SHAPES: usize = 10_000;

/// How much of a shape is kept to be shown, in bytes.
const SHOWN: usize = 200;

/// Longer texts are not parsed, in bytes.
const LONGEST: usize = 1 << 20;

/// Tells what statements read and write. To be asked for every statement of every session, in the
/// order of the log: it follows what they set of their sessions.
#[derive(Debug, Default)]
pub struct Footprints {
    sessions: HashMap<SessionId, Session>,
    shapes: Shapes,
}

/// A shape that was widened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopFallback {
    /// The text without its literals, cut to what can be shown.
    pub shape: String,
    /// Why it was widened, the last time.
    pub widening: Widening,
    /// How often it was, since it was last taken into the cache.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Shapes {
    databases: Vec<Database>,
    numbers: HashMap<Box<str>, u32>,
    tables: Tables,
    kept: HashMap<(u64, u64), Kept>,
    /// The shape at hand, kept for its buffers.
    shape: Shape,
}

#[derive(Debug)]
struct Database {
    catalog: Option<Box<Catalog>>,
    /// How many catalogs it has had.
    generation: u64,
}

/// A shape that was analysed.
#[derive(Debug)]
struct Kept {
    template: Template,
    shown: String,
    database: u32,
    is_recent: bool,
    widened: Option<(Widening, u64)>,
}

impl Footprints {
    /// What this statement does, and takes note of what it sets of its session.
    pub fn of(&mut self, session: SessionId, login: &Login, work: &Work) -> Footprint {
        let Self { sessions, shapes } = self;
        let session = match sessions.entry(session) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(Session::new(&login.user, shapes.database(&login.database)))
            }
        };
        let parameters: &[Option<Box<str>>] = match &work.statement.protocol {
            Protocol::Simple => &[],
            Protocol::Extended { parameters, .. } => parameters,
            // Nothing of it was executed.
            Protocol::ParseOnly | Protocol::BindOnly { .. } | Protocol::Unknown => {
                session.fail();
                return Footprint::default();
            }
        };
        let end = work.end();
        let undone = end.source.is_transient();
        if undone && !is_run(session, work, end) {
            session.fail();
            return Footprint::default();
        }
        let fails = matches!(end.source, SourceEnd::Failed(_));
        let had_exported = session.has_exported();
        let mut footprint =
            shapes.text(session, &work.statement.sql, Parameters::Bound(parameters), fails);
        exports_and_imports(session, work, had_exported, &mut footprint);
        if fails {
            session.fail();
        }
        session.end_request();
        if undone && !work.statement.outline.has(Command::ends_transaction) {
            footprint.undo();
        }
        footprint.settle();
        footprint
    }

    /// The session has ended.
    pub fn forget(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// The databases of the sessions that are followed.
    pub fn databases(&self) -> HashSet<&str> {
        let numbers: HashSet<u32> = self.sessions.values().map(|it| it.database).collect();
        let named = self.shapes.numbers.iter().filter(|(_, number)| numbers.contains(number));
        named.map(|(name, _)| &**name).collect()
    }

    /// How many sessions are followed.
    #[cfg(test)]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// This is what a database is from now on. Without one, every statement in it is a barrier.
    pub fn catalog(&mut self, database: &str, catalog: Option<Catalog>) {
        let number = self.shapes.database(database);
        self.shapes.kept.retain(|_, kept| kept.database != number);
        let database = &mut self.shapes.databases[number as usize];
        database.catalog = catalog.map(Box::new);
        database.generation += 1;
    }

    /// Whether a statement may make a database's catalog another, as far as its words tell: the
    /// catalog has to be read again when it has run. Where its footprint is no barrier, it changes
    /// its session's temporary tables alone.
    pub fn changes_catalog(work: &Work) -> bool {
        let text = &*work.statement.sql;
        let parts = &work.statement.outline.parts;
        let may = |part: &&sql::Part| part.command == Command::Other;
        parts.iter().filter(may).any(|part| changes_catalog(&text[part.range.clone()]))
    }

    /// The shapes that were widened most often, the worst first.
    pub fn worst(&self, n: usize) -> Vec<TopFallback> {
        let widened = self.shapes.kept.values().filter_map(|kept| Some((kept.widened?, kept)));
        let mut worst: Vec<_> = widened.collect();
        worst.sort_by(|((_, a), one), ((_, b), other)| {
            b.cmp(a).then_with(|| one.shown.cmp(&other.shown))
        });
        worst.truncate(n);
        let costly = |((widening, count), kept): ((Widening, u64), &Kept)| TopFallback {
            shape: kept.shown.clone(),
            widening,
            count,
        };
        worst.into_iter().map(costly).collect()
    }
}

/// Whether anything is run of a statement that failed for what happened around it: itself, for what it
/// draws, or what stands before it in its string.
fn is_run(session: &Session, work: &Work, end: End) -> bool {
    let prepared = |name: &str| session.prepared(name).map(|sql| Box::from(&*sql));
    let before = !work.statement.is_extended() && draws::failed_part(&work.statement, end) > 0;
    let midway = end.source == SourceEnd::Failed(SqlState::QUERY_CANCELED)
        && work.statement.may_commit_midway();
    before || midway || draws::of_failed(&work.statement, end, prepared).is_run()
}

/// What concerns exported snapshots: imports come behind their exports, and before the ends of
/// the transactions that exported them.
fn exports_and_imports(
    session: &mut Session,
    work: &Work,
    had_exported: bool,
    footprint: &mut Footprint,
) {
    let outline = &work.statement.outline;
    let ends_export = had_exported && !session.has_exported();
    if outline.exports_snapshot || outline.imports_snapshot || ends_export {
        footprint.add(Access::Advance(template::snapshots()));
    }
    if outline.exports_snapshot {
        // It is taken now, whatever its transaction keeps, and shows what has been committed.
        footprint.add(Access::ReadAll);
        footprint.widen(Some(Widening::Snapshot));
        session.export();
    }
}

fn changes_catalog(statement: &str) -> bool {
    let word = sql::key(statement, 1);
    match word.as_str() {
        "create" => !["temp", "temporary", "local", "global"]
            .iter()
            .any(|word| sql::key(statement, 2).ends_with(&format!(" {word}"))),
        "alter" | "drop" | "import" | "reindex" => true,
        // SELECT INTO.
        "select" | "with" => sql::after_keyword(statement, "into").is_some(),
        _ => false,
    }
}

impl Shapes {
    fn database(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.databases.len()).unwrap_or(u32::MAX);
        self.databases.push(Database { catalog: None, generation: 0 });
        self.numbers.insert(name.into(), number);
        number
    }

    /// What a text does, which may hold several statements.
    fn text(
        &mut self,
        session: &mut Session,
        sql: &str,
        parameters: Parameters<'_>,
        fails: bool,
    ) -> Footprint {
        if sql.len() > LONGEST {
            return Footprint::everything(Widening::TooLong);
        }
        let catalog = self.databases[session.database as usize].catalog.as_ref();
        if sql.contains('\\') && catalog.is_some_and(|it| session.escapes_by_backslash(it)) {
            // Where its literals end is not known.
            return Footprint::everything(Widening::Construct);
        }
        let mut shape = std::mem::take(&mut self.shape);
        shape.read(sql);
        let footprint = if shape.is_empty() {
            Footprint::default()
        } else if shape.holds_several() {
            let mut all = Footprint::default();
            for part in Outline::of(sql).parts {
                let sql = &sql[part.range];
                shape.read(sql);
                all.join(self.statement(session, sql, &shape, parameters, fails));
            }
            all
        } else {
            self.statement(session, sql, &shape, parameters, fails)
        };
        self.shape = shape;
        footprint
    }

    fn statement(
        &mut self,
        session: &mut Session,
        sql: &str,
        shape: &Shape,
        parameters: Parameters<'_>,
        fails: bool,
    ) -> Footprint {
        let database = &self.databases[session.database as usize];
        let Some(catalog) = &database.catalog else {
            return Footprint::everything(Widening::NoCatalog);
        };
        session.look_at(catalog, database.generation);
        let call = Call { sql, literals: shape.literals(), parameters };
        let id = (session.environment(), shape.hash());
        if !self.kept.contains_key(&id) {
            make_room(&mut self.kept);
        }
        let names = Names {
            catalog,
            database: session.database,
            path: session.path(),
            follows_user: session.follows_user(),
            has_plain_backslashes: !session.escapes_by_backslash(catalog),
        };
        let kept = self.kept.entry(id).or_insert_with(|| Kept {
            template: {
                let is_temporary = |name: &str| session.is_temporary(name);
                analysis::template(sql, shape.literals(), names, &is_temporary, &mut self.tables)
            },
            shown: Shape::shown(sql, SHOWN),
            database: session.database,
            is_recent: true,
            widened: None,
        });
        kept.is_recent = true;
        let mut footprint = kept.template.fill(call, names);
        if kept.template.reads_by_snapshot && session.uses_fixed_snapshot() {
            footprint.add(Access::ReadAll);
            footprint.widen(Some(Widening::Snapshot));
        }
        if let Some(why) = footprint.widened {
            let count = kept.widened.map_or(0, |(_, count)| count);
            kept.widened = Some((why, count + 1));
        }
        if !kept.template.effects.is_empty() {
            let effects = kept.template.effects.clone();
            footprint.join(self.apply(session, &effects, call, fails));
        }
        footprint
    }

    /// Takes note of what a statement changes of its session. Returns what it executes.
    fn apply(
        &mut self,
        session: &mut Session,
        effects: &[Effect],
        call: Call<'_>,
        fails: bool,
    ) -> Footprint {
        let mut footprint = Footprint::default();
        for effect in effects {
            match effect {
                Effect::Execute { name, arguments } => {
                    let Some(prepared) = session.prepared(name) else {
                        footprint.join(Footprint::everything(Widening::UnknownName));
                        continue;
                    };
                    let mut values = Vec::with_capacity(arguments.len());
                    for argument in arguments {
                        values.push(argument.as_ref().map_or(Read::Unknown, |it| call.read(it)));
                    }
                    let given = Parameters::Execute(&values);
                    footprint.join(self.text(session, &prepared, given, fails));
                }
                _ if fails => {}
                Effect::Prepare { name } => {
                    if let Some(query) = prepared_query(call.sql) {
                        session.prepare(name, query);
                    }
                }
                effect => {
                    let database = &self.databases[session.database as usize];
                    if let Some(catalog) = &database.catalog {
                        session.apply(effect, call, catalog);
                    }
                }
            }
        }
        footprint
    }
}

/// Lets go of the shapes that were not met since this was done last.
fn make_room(kept: &mut HashMap<(u64, u64), Kept>) {
    if kept.len() < SHAPES {
        return;
    }
    kept.retain(|_, kept| std::mem::take(&mut kept.is_recent));
    if kept.len() > SHAPES / 4 * 3 {
        kept.clear();
    }
}

/// The statement in `PREPARE name (types) AS statement`.
fn prepared_query(sql: &str) -> Option<&str> {
    let start = sql::after_keyword(sql, "as")?;
    Some(&sql[start..])
}
