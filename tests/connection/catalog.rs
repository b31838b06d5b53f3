//! The catalog as statements' footprints see it.

use kreplay::pglog::SessionId;
use kreplay::pglog::statement::{Protocol, SourceEnd, Statement};
use kreplay::postgres::{CatalogReader, Target};
use kreplay::replay::order::footprint::{Access, Catalog, Footprints, LockMode, Mode, Table};
use kreplay::replay::work::{End, Position, Seq, Work};
use kreplay::sql::Outline;

use super::{login, settings};
use testkit::postgres::Server;

const SCHEMA: &str = "
    CREATE DOMAIN small AS int CHECK (VALUE < 1000);
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE parents (id serial PRIMARY KEY, code varchar(5) NOT NULL UNIQUE, n int);
    CREATE TABLE children (parent small REFERENCES parents ON DELETE CASCADE, note text);
    CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice int GENERATED
        ALWAYS AS (1) STORED, note text DEFAULT 'x');
    CREATE TABLE moods (m mood PRIMARY KEY, note text);
    CREATE TABLE domains (d small PRIMARY KEY, note text);
    CREATE TABLE loose (t text PRIMARY KEY);
    CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, other int NOT NULL);
    CREATE UNIQUE INDEX ON late (other) INCLUDE (id);
    CREATE TABLE mails (id int PRIMARY KEY, mail text, live bool);
    CREATE UNIQUE INDEX ON mails (lower(mail)) WHERE live;
    CREATE TABLE parts (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE part_1 (note text, day date NOT NULL, id int NOT NULL);
    ALTER TABLE parts ATTACH PARTITION part_1 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE elders (id int PRIMARY KEY);
    CREATE TABLE heirs () INHERITS (elders);
    CREATE VIEW over_parents AS SELECT id, n FROM parents;
    CREATE VIEW over_over AS SELECT * FROM over_parents JOIN counted USING (id);
    CREATE FUNCTION pure(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION looks(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
    CREATE VIEW with_function AS SELECT looks(id::int) FROM counted;
    CREATE VIEW with_large_object AS SELECT lo_create(0);
    CREATE VIEW with_query AS SELECT table_to_xml('counted', true, true, '');
    CREATE VIEW with_random AS SELECT random(), id FROM counted;
    CREATE TABLE stamped (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), lo oid
        DEFAULT lo_create(0));
    CREATE TABLE defaulted (id int PRIMARY KEY, n int DEFAULT writes(1));
    CREATE TABLE checked (id int PRIMARY KEY, n int CHECK (looks(n) > 0));
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE fired (id int PRIMARY KEY, a int, b int);
    CREATE TRIGGER fire BEFORE UPDATE OF a ON fired FOR EACH ROW EXECUTE FUNCTION fire();
    CREATE TRIGGER same BEFORE UPDATE ON fired FOR EACH ROW
        EXECUTE FUNCTION suppress_redundant_updates_trigger();
    CREATE TRIGGER off BEFORE DELETE ON fired FOR EACH ROW EXECUTE FUNCTION fire();
    ALTER TABLE fired DISABLE TRIGGER off;
    CREATE TABLE ruled (id int PRIMARY KEY);
    CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
    CREATE FUNCTION pay(p int, INOUT a int, OUT done text, n int DEFAULT 1) LANGUAGE plpgsql AS
        'BEGIN UPDATE parents SET n = pay.n WHERE id = p; done := ''x''; END';
    CREATE FUNCTION listed(p int) RETURNS TABLE (name text) STABLE LANGUAGE plpgsql AS
        'BEGIN RETURN QUERY SELECT code::text FROM parents WHERE id = p; END';
    CREATE FUNCTION tidy(int, VARIADIC int[]) RETURNS void LANGUAGE sql AS
        'DELETE FROM loose WHERE t = ''x''; DELETE FROM domains WHERE d = $1';
    CREATE FUNCTION run(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
    CREATE PROCEDURE settle(p int) LANGUAGE plpgsql AS
        'BEGIN UPDATE parents SET n = 0 WHERE id = p; END';
    CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN DELETE FROM loose WHERE t = NEW.name; RETURN NULL; END';
    CREATE TABLE named (id int PRIMARY KEY, name text NOT NULL, at timestamptz);
    CREATE TRIGGER one AFTER INSERT ON named FOR EACH ROW WHEN (NEW.at IS NULL)
        EXECUTE FUNCTION count_up();
    CREATE CONSTRAINT TRIGGER late AFTER DELETE ON named DEFERRABLE FOR EACH ROW
        EXECUTE FUNCTION count_up();
    CREATE TRIGGER odd AFTER UPDATE ON named FOR EACH ROW WHEN (looks(NEW.id) > 1)
        EXECUTE FUNCTION count_up();
    CREATE OPERATOR <~> (leftarg = int, rightarg = int, function = int4pl);
    CREATE FUNCTION writes(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1';
    CREATE OPERATOR <~~> (leftarg = int, rightarg = int, function = writes);
    CREATE TABLE guarded (id int PRIMARY KEY);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON guarded USING (EXISTS (SELECT FROM moods));
    CREATE SCHEMA tucked;
    CREATE TABLE tucked.away (id int PRIMARY KEY);
    CREATE FUNCTION stamp(p int) RETURNS void SECURITY DEFINER SET search_path = tucked
        LANGUAGE sql AS 'DELETE FROM away WHERE id = p';
    CREATE ROLE finder LOGIN SUPERUSER;
    ALTER ROLE finder SET search_path = tucked;";

/// A table by any name: what locks it, and the name that it is told by.
const TABLES: [&str; 20] = [
    "named",
    "stamped",
    "parents",
    "children",
    "counted",
    "moods",
    "domains",
    "loose",
    "late",
    "mails",
    "parts",
    "elders",
    "defaulted",
    "checked",
    "fired",
    "ruled",
    "guarded",
    "tucked.away",
    "heirs",
    "part_1",
];

struct World {
    footprints: Footprints,
    tables: Vec<(Table, &'static str)>,
}

impl World {
    async fn new(server: &Server) -> Self {
        let target = Target::new(settings(server)).expect("usable settings");
        let observer = target.observe(&login("postgres", "postgres")).await.expect("an observer");
        let mut reader = CatalogReader::new(observer).await.expect("a reader");
        let rows = reader.read().await.expect("a catalog").rows;
        let mut footprints = Footprints::default();
        footprints.catalog("postgres", Some(Catalog::new(rows)));
        let mut world = Self { footprints, tables: Vec::new() };
        for name in TABLES {
            let found = world.accesses("postgres", &format!("LOCK TABLE {name}"));
            let [Access::Lock(table, LockMode::AccessExclusive)] = found[..] else {
                panic!("{name}: {found:?}")
            };
            world.tables.push((table, name));
        }
        world
    }

    fn accesses(&mut self, user: &str, sql: &str) -> Vec<Access> {
        let session = SessionId { start: 1, pid: u32::from(user == "finder") };
        let statement = Statement {
            sql: sql.into(),
            protocol: Protocol::Simple,
            outline: Outline::of(sql),
            duration_ms: None,
            exporter: None,
            logged_ms: 0,
        };
        let end = End { source: SourceEnd::Succeeded, ..End::default() };
        let at = Position { partition: 0, offset: 0, line: 0 };
        let work = Work::new(Seq(1), at, session, statement, end);
        let login = kreplay::replay::settings::Login {
            user: user.into(),
            database: "postgres".into(),
            application_name: String::new(),
        };
        self.footprints.of(session, &login, &work).accesses
    }

    fn told(&mut self, user: &str, sql: &str) -> String {
        let accesses = self.accesses(user, sql);
        let name = |table| {
            self.tables.iter().find(|(known, _)| *known == table).map_or("?", |(_, name)| *name)
        };
        let word = |mode| match mode {
            Mode::Reference => "reference",
            Mode::Read => "read",
            Mode::Update => "update",
            Mode::Write => "write",
        };
        let tell = |access: &Access| match *access {
            Access::Row(table, _, mode) => format!("{} {} row", word(mode), name(table)),
            Access::Table(table, mode) => format!("{} {}", word(mode), name(table)),
            Access::ReadAll => "read all".to_owned(),
            Access::Append(table) => format!("append {}", name(table)),
            Access::InsertGiven(table) => format!("insert {}", name(table)),
            Access::Lock(table, _) => format!("lock {}", name(table)),
            Access::Advance(_) => "draw".to_owned(),
            Access::Everything => "everything".to_owned(),
        };
        let mut told: Vec<String> = accesses.iter().map(tell).collect();
        told.sort();
        told.join(", ")
    }
}

impl World {
    /// Whether a row is told by this expression; if so, it is that of the value that the server computes.
    #[track_caller]
    fn leads_to(&mut self, server: &Server, column: &str, expression: &str) -> bool {
        let by_value = |value: &str| format!("SELECT FROM {column} = {value}");
        let found = self.accesses("postgres", &by_value(expression));
        if matches!(found[..], [Access::Table(..)]) {
            return false;
        }
        let computed = server.query(&format!("SELECT quote_nullable({expression})"));
        let expected = self.accesses("postgres", &by_value(computed.trim_end_matches('\n')));
        assert_eq!(found, expected, "{expression} is {computed}");
        true
    }
}

async fn assert_read(version: u32) {
    let server = Server::start(version);
    server.query(SCHEMA);
    let mut world = World::new(&server).await;
    for (sql, expected) in [
        ("SELECT FROM parents WHERE id = 1", "read parents row"),
        ("INSERT INTO parents (code) VALUES ('a')", "append parents, draw, write parents row"),
        ("UPDATE parents SET code = 'b' WHERE id = 1", "write parents"),
        ("DELETE FROM parents WHERE id = 1", "write children, write parents"),
        ("INSERT INTO children VALUES (1)", "append children, reference parents row"),
        ("INSERT INTO counted (note) VALUES ('y')", "append counted, draw"),
        ("INSERT INTO counted DEFAULT VALUES", "append counted, draw"),
        ("UPDATE counted SET note = 'z' WHERE id = 1", "update counted row"),
        ("SELECT nextval('parents_id_seq')", "draw"),
        ("SELECT FROM moods WHERE m = 'sad'", "read moods row"),
        ("SELECT FROM domains WHERE d = 1", "read domains row"),
        ("SELECT FROM loose WHERE t = 'x'", "read loose row"),
        ("SELECT FROM late WHERE id = 1", "read late"),
        ("SELECT FROM late WHERE other = 1", "read late row"),
        ("UPDATE mails SET mail = 'x' WHERE id = 1", "write mails"),
        ("UPDATE mails SET live = true WHERE id = 1", "write mails"),
        ("SELECT FROM parts WHERE id = 1 AND day = '2026-02-03'", "read parts row"),
        ("SELECT FROM part_1 WHERE id = 1 AND day = '2026-02-03'", "read parts row"),
        ("INSERT INTO part_1 VALUES ('x', '2026-02-03', 1)", "insert parts, write parts row"),
        ("SELECT FROM heirs WHERE id = 1", "read elders"),
        ("SELECT * FROM over_parents", "read parents"),
        ("SELECT * FROM over_over", "read counted, read parents"),
        ("SELECT pure(1), now(), random(), lower('X'), count(*)", ""),
        ("SELECT looks(1), writes(1)", ""),
        ("SELECT pay(1, 2)", "update parents row"),
        ("SELECT * FROM pay(a => 2, p => 1)", "update parents row"),
        ("SELECT name FROM listed(1)", "read parents row"),
        ("SELECT tidy(1, 2, 3)", "write domains, write loose row"),
        ("SELECT stamp(1)", "write tucked.away row"),
        ("SELECT run('x')", "everything"),
        ("CALL settle(1)", "update parents row"),
        ("INSERT INTO named VALUES (1, 'x')", "insert named, write loose row, write named row"),
        ("DELETE FROM named WHERE id = 1", "everything"),
        ("UPDATE named SET at = NULL WHERE id = 1", "everything"),
        ("SELECT * FROM with_function", "read all, read counted"),
        ("SELECT * FROM with_large_object", "everything"),
        ("SELECT * FROM with_query", "everything"),
        ("SELECT * FROM with_random", "read counted"),
        ("INSERT INTO stamped (id, lo) VALUES (1, 2)", "insert stamped, write stamped row"),
        ("INSERT INTO stamped VALUES (1, now())", "everything"),
        ("INSERT INTO defaulted VALUES (1, 2)", "insert defaulted, write defaulted row"),
        ("INSERT INTO defaulted VALUES (1)", "everything"),
        ("INSERT INTO checked VALUES (1, 1)", "insert checked, read all, write checked row"),
        ("UPDATE fired SET a = 1 WHERE id = 1", "update fired row"),
        ("UPDATE fired SET b = 1 WHERE id = 1", "update fired row"),
        ("DELETE FROM fired WHERE id = 1", "write fired row"),
        ("INSERT INTO ruled VALUES (1)", "insert ruled, write ruled row"),
        ("DELETE FROM ruled WHERE id = 1", "everything"),
        ("SELECT 1 <~> 2", ""),
        ("SELECT 1 <~~> 2", "everything"),
        ("SELECT FROM guarded WHERE id = 1", "read guarded row, read moods"),
        ("SELECT * FROM pg_class, information_schema.tables", ""),
        ("SELECT FROM away", "everything"),
    ] {
        assert_eq!(world.told("postgres", sql), expected, "{sql}");
    }
    assert_eq!(world.told("finder", "SELECT FROM away"), "read tucked.away");
}

#[actix_rt::test]
async fn an_old_server_tells_what_its_statements_depend_on() {
    assert_read(15).await;
}

#[actix_rt::test]
async fn a_collation_that_takes_unlike_texts_for_equal_tells_no_rows() {
    // The one of 18 is built without ICU.
    let server = Server::start(15);
    server.query(SCHEMA);
    server.query(
        "CREATE COLLATION folded (provider = icu, locale = 'und', deterministic = false);
         ALTER TABLE loose ALTER t TYPE text COLLATE folded",
    );
    let mut world = World::new(&server).await;
    assert_eq!(world.told("postgres", "SELECT FROM loose WHERE t = 'x'"), "read loose");
}

#[actix_rt::test]
async fn a_new_server_tells_what_its_statements_depend_on() {
    assert_read(18).await;
}

#[actix_rt::test]
async fn constant_expressions_lead_to_the_rows_that_the_server_computes() {
    let server = Server::start(15);
    server.query(SCHEMA);
    let mut world = World::new(&server).await;
    let mut pinned = 0;
    for expression in [
        "12 + 1",
        "-7 / 2",
        "7 / -2",
        "-7 % 3",
        "7 % -3",
        "2 + 3 * 4 - -1",
        "-(2 - 5) * (3 - 1)",
        "2147483647 + 1",
        "2147483647 + 1::bigint",
        "-2147483648 - 1",
        "2147483648 + 1",
        "9223372036854775807 - 1",
        "9223372036854775807 + 1",
        "32767::smallint + 1::smallint",
        "32767::smallint + 1",
        "'12' + 1",
        "1 - ' 12 '::int",
        "+ 5 - 1",
        "7.5::int + 1",
        "010 + 1",
        "1 / 0",
        "1 + NULL",
    ] {
        pinned += usize::from(world.leads_to(&server, "parents WHERE id", expression));
    }
    for expression in [
        "'a' || 'b'",
        "'a' || 'b' || 12",
        "12 || 'a'",
        "1.50 || 'a'",
        "'it''s ' || E'a\\tb'",
        "'a '::bpchar || 'b'",
        "('a'::text || 'b')::varchar",
        "0012::text || 'x'",
        "(2 * 3) || 'x'",
        "'x' || NULL",
    ] {
        pinned += usize::from(world.leads_to(&server, "loose WHERE t", expression));
    }
    assert_eq!(pinned, 23, "what overflows, rounds or loses blanks is not computed");
}

/// Changes of a schema, each of which leaves something else behind.
const CHANGES: [&str; 46] = [
    "SELECT 1",
    "CREATE TABLE staging (id int PRIMARY KEY, n int DEFAULT 1 CHECK (n > 0))",
    "ALTER TABLE staging ADD COLUMN note text, DROP COLUMN n",
    "ALTER TABLE staging ADD COLUMN twice int GENERATED ALWAYS AS (id * 2) STORED",
    "CREATE UNIQUE INDEX staging_note ON staging (note) WHERE note <> ''",
    "DROP INDEX staging_note",
    "ALTER TABLE staging ADD COLUMN parent int REFERENCES parents ON DELETE CASCADE",
    "ALTER TABLE staging DROP CONSTRAINT staging_parent_fkey",
    "ALTER TABLE staging ADD COLUMN number int GENERATED BY DEFAULT AS IDENTITY",
    "ALTER TABLE staging ALTER COLUMN number DROP IDENTITY",
    "ALTER TABLE staging ALTER COLUMN note SET DEFAULT writes(1)::text, ALTER COLUMN note SET NOT NULL",
    "ALTER TABLE staging ALTER COLUMN note DROP DEFAULT",
    "CREATE TRIGGER s AFTER INSERT ON staging FOR EACH ROW EXECUTE FUNCTION fire()",
    "ALTER TABLE staging DISABLE TRIGGER s",
    "DROP TRIGGER s ON staging",
    "CREATE RULE r AS ON UPDATE TO staging DO INSTEAD NOTHING",
    "DROP RULE r ON staging",
    "ALTER TABLE staging ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON staging USING (id IN (SELECT id FROM elders))",
    "DROP POLICY p ON staging",
    "ALTER TABLE staging RENAME TO staged",
    "ALTER TABLE staged RENAME COLUMN note TO remark",
    "CREATE VIEW over_staged AS SELECT looks(id) FROM staged",
    "CREATE OR REPLACE VIEW over_staged AS SELECT looks(s.id) FROM staged s JOIN elders USING (id)",
    "DROP VIEW over_staged",
    "CREATE TABLE staged_heir () INHERITS (staged)",
    "ALTER TABLE staged_heir NO INHERIT staged",
    "CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    "ALTER TABLE parts DETACH PARTITION part_2",
    "CREATE FUNCTION fresh(int) RETURNS int LANGUAGE sql AS 'SELECT n FROM parents WHERE id = $1'",
    "CREATE OR REPLACE FUNCTION fresh(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'",
    "CREATE TYPE pair AS (a int, b int)",
    "CREATE FUNCTION paired(pair) RETURNS pair LANGUAGE sql AS 'SELECT $1'",
    "ALTER TYPE pair RENAME TO couple",
    "DROP FUNCTION fresh(int)",
    "CREATE CAST (couple AS mood) WITH INOUT",
    "CREATE OPERATOR <~~~> (leftarg = int, rightarg = int, function = writes)",
    "ALTER DOMAIN small ADD CHECK (looks(VALUE) > 0)",
    "ALTER SCHEMA tucked RENAME TO hidden",
    "ALTER ROLE finder SET search_path = hidden",
    "CREATE SEQUENCE numbers OWNED BY staged.id",
    "CREATE MATERIALIZED VIEW seen AS SELECT * FROM elders",
    "ANALYZE; VACUUM",
    "CREATE TEMP TABLE passing (id int PRIMARY KEY)",
    "CREATE TABLE whole AS SELECT 1 AS a; TRUNCATE whole; DROP TABLE staged CASCADE",
    "DROP SCHEMA hidden CASCADE",
];

async fn assert_brought_up_to_date(version: u32) {
    let server = Server::start(version);
    server.query(SCHEMA);
    let target = Target::new(settings(&server)).expect("usable settings");
    let reader = async || {
        let observer = target.observe(&login("postgres", "postgres")).await.expect("an observer");
        CatalogReader::new(observer).await.expect("a reader")
    };
    let mut again = reader().await;
    again.read().await.expect("a catalog");
    for change in CHANGES {
        // Each statement on its own: VACUUM wants that.
        change.split("; ").for_each(|statement| drop(server.query(statement)));
        let read = again.read().await.expect("a catalog").rows.clone();
        let mut anew = reader().await;
        assert_eq!(read, *anew.read().await.expect("a catalog").rows, "{version}: {change}");
        let once_more = again.read().await.expect("a catalog");
        assert!(!once_more.has_changed, "{version}: {change} is found once");
    }
}

#[actix_rt::test]
async fn what_has_changed_is_read_again_and_nothing_else_is_missed() {
    assert_brought_up_to_date(15).await;
}

#[actix_rt::test]
async fn what_has_changed_is_read_again_from_18_too() {
    assert_brought_up_to_date(18).await;
}
