//! The database of the tests.

use crate::replay::order::footprint::catalog::{
    ArgumentRow, ColumnRow, DependencyRow, Dependent, ForeignKeyRow, FunctionRow, HeirRow,
    ImpureRow, IndexRow, Needed, Oid, RelationRow, RoutineRow, Rows, RuleRow, SettingRow,
    TriggerRow, Volatility,
};

/// The tables that rows are kept in.
pub(super) const TABLES: [&str; 20] = [
    "accounts",
    "history",
    "orders",
    "lines",
    "notes",
    "uuids",
    "days",
    "amounts",
    "codes",
    "padded",
    "flags",
    "stamps",
    "loose",
    "audited",
    "measured",
    "folded",
    "heirs",
    "emails",
    "other.things",
    "parcels",
];

const INT4: Oid = 23;
const INT8: Oid = 20;
const TEXT: Oid = 25;

struct Builder {
    rows: Rows,
    next: Oid,
}

impl Builder {
    fn oid(&mut self) -> Oid {
        self.next += 1;
        self.next
    }

    fn relation(&mut self, schema: &str, name: &str, kind: char) -> Oid {
        let oid = self.oid();
        let (schema, name) = (schema.to_owned(), name.to_owned());
        self.rows.relations.push(RelationRow { oid, schema, name, kind });
        oid
    }

    fn columns(&mut self, relation: Oid, columns: &[(&str, Oid)]) {
        for (number, (name, type_oid)) in (1..).zip(columns) {
            self.rows.columns.push(ColumnRow {
                relation,
                number,
                name: (*name).to_owned(),
                type_oid: *type_oid,
                modifier: -1,
                not_null: false,
                is_deterministic: true,
                is_generated: false,
                has_default: false,
            });
        }
    }

    fn table(&mut self, name: &str, columns: &[(&str, Oid)], key: &[i16]) -> Oid {
        let relation = self.relation("public", name, 'r');
        self.columns(relation, columns);
        if !key.is_empty() {
            self.index(relation, key).is_primary = true;
            for number in key {
                self.column(relation, *number).not_null = true;
            }
        }
        relation
    }

    fn column(&mut self, relation: Oid, number: i16) -> &mut ColumnRow {
        let mut columns = self.rows.columns.iter_mut();
        columns.find(|row| row.relation == relation && row.number == number).expect("a column")
    }

    fn index(&mut self, relation: Oid, columns: &[i16]) -> &mut IndexRow {
        let oid = self.oid();
        self.rows.indexes.push(IndexRow {
            oid,
            relation,
            columns: columns.to_vec(),
            mentions: columns.to_vec(),
            is_primary: false,
            is_immediate: true,
            is_whole: true,
            is_unique: true,
        });
        self.rows.indexes.last_mut().expect("just added")
    }

    fn draws(&mut self, relation: Oid, number: i16, sequence: Oid) {
        self.column(relation, number).has_default = true;
        self.depends(relation, Dependent::Default(number), Needed::Relation(sequence));
    }

    fn depends(&mut self, relation: Oid, dependent: Dependent, needed: Needed) {
        self.rows.dependencies.push(DependencyRow { relation, dependent, needed });
    }

    fn references(&mut self, child: (Oid, i16), parent: (Oid, i16), on_delete: char) {
        let oid = self.oid();
        self.rows.foreign_keys.push(ForeignKeyRow {
            oid,
            child: child.0,
            child_columns: vec![child.1],
            parent: parent.0,
            parent_columns: vec![parent.1],
            on_update: 'a',
            on_delete,
        });
    }

    fn function(&mut self, schema: &str, name: &str, volatility: Volatility) -> Oid {
        let oid = self.oid();
        let is_built_in = schema == "pg_catalog";
        let (schema, name) = (schema.to_owned(), name.to_owned());
        let is_in_c = is_built_in || name.starts_with("uuid_");
        self.rows.functions.push(FunctionRow {
            oid,
            schema,
            name,
            volatility,
            is_in_c,
            is_built_in,
        });
        oid
    }
}

/// A function made by its text: `CREATE FUNCTION name(arguments) RETURNS type AS $$body$$ …`.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) row: RoutineRow,
    pub(super) volatility: Volatility,
}

impl Made {
    /// A volatile one of the default schema. `arguments`: `name type, …`.
    pub(super) fn new(language: &str, name: &str, arguments: &str, body: &str) -> Self {
        let argument = |text: &str| {
            let (name, type_name) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
            let (mode, name) = match name.split_once(' ') {
                Some(("out", name)) => ('o', name),
                _ => ('i', name),
            };
            ArgumentRow { name: name.to_owned(), mode, type_name: type_name.to_owned() }
        };
        let arguments = arguments.split(',').filter(|text| !text.trim().is_empty());
        let row = RoutineRow {
            oid: 0,
            schema: "public".to_owned(),
            name: name.to_owned(),
            language: language.to_owned(),
            body: body.to_owned(),
            arguments: arguments.map(argument).collect(),
            defaults: 0,
            is_variadic: false,
            is_procedure: false,
            returns: "void".to_owned(),
            returns_set: false,
            runs_as: None,
            settings: Vec::new(),
        };
        Self { row, volatility: Volatility::Volatile }
    }

    /// A trigger's function.
    pub(super) fn trigger(name: &str, body: &str) -> Self {
        let mut made = Self::new("plpgsql", name, "", body);
        made.row.returns = "trigger".to_owned();
        made
    }
}

/// The shop with functions, and with triggers: on which table, of what kind, by which function.
pub(super) fn rows_with(made: &[Made], triggers: &[(&str, i16, &str)]) -> Rows {
    let mut shop = Builder { rows: rows(), next: 40_000 };
    for made in made {
        let row = &made.row;
        let oid = shop.function(&row.schema, &row.name, made.volatility);
        shop.rows.routines.push(RoutineRow { oid, ..row.clone() });
    }
    for (table, kind, function) in triggers {
        let oid = shop.oid();
        let relation = shop.rows.relations.iter().find(|row| row.name == *table);
        let routine = shop.rows.routines.iter().find(|row| row.name == *function);
        shop.rows.triggers.push(TriggerRow {
            oid,
            relation: relation.expect("a table").oid,
            kind: *kind,
            columns: Vec::new(),
            is_harmless: false,
            function: routine.expect("a function").oid,
            is_plain: true,
            transition_tables: vec!["added".to_owned()],
        });
    }
    shop.rows
}

pub(super) fn rows() -> Rows {
    let mut shop = Builder { rows: Rows::default(), next: 20_000 };
    tables(&mut shop);
    typed(&mut shop);
    guarded(&mut shop);
    functions(&mut shop);
    for (role, name, value) in [
        (None, "search_path", "\"$user\", public"),
        (None, "default_transaction_isolation", "read committed"),
        (Some("strict"), "default_transaction_isolation", "serializable"),
    ] {
        let (role, name, value) = (role.map(str::to_owned), name.to_owned(), value.to_owned());
        shop.rows.settings.push(SettingRow { role, name, value });
    }
    shop.rows
}

fn tables(shop: &mut Builder) {
    let sequence = shop.relation("public", "account_ids", 'S');
    shop.relation("public", "Ticket Numbers", 'S');
    // accounts(id default nextval, email unique)
    let accounts =
        shop.table("accounts", &[("id", INT4), ("email", TEXT), ("balance", INT4)], &[1]);
    shop.draws(accounts, 1, sequence);
    shop.index(accounts, &[2]);
    // history(account → accounts), without a key
    let history = shop.table("history", &[("account", INT4), ("amount", INT4)], &[]);
    shop.references((history, 1), (accounts, 1), 'a');
    // orders ← lines, on delete cascade
    let orders = shop.table("orders", &[("id", INT8), ("note", TEXT)], &[1]);
    let columns = [("order_id", INT8), ("number", INT4), ("note", TEXT)];
    let lines = shop.table("lines", &columns, &[1, 2]);
    shop.references((lines, 1), (orders, 1), 'c');
    // orders ← parcels, on delete set null
    let parcels = shop.table("parcels", &[("id", INT8), ("order_id", INT8)], &[1]);
    shop.references((parcels, 2), (orders, 1), 'n');
    // notes(id text)
    shop.table("notes", &[("id", TEXT), ("body", TEXT)], &[1]);
    // A partitioned table; things in another schema; a table with an heir.
    let measured = shop.relation("public", "measured", 'p');
    let part = shop.relation("public", "measured_1", 'r');
    for table in [measured, part] {
        shop.columns(table, &[("id", INT4), ("value", INT4)]);
        shop.index(table, &[1]).is_primary = true;
        shop.column(table, 1).not_null = true;
    }
    shop.rows.heirs.push(HeirRow { child: part, parent: measured, is_partition: true });
    let heirs = shop.table("heirs", &[("id", INT4)], &[1]);
    let heir = shop.table("heir", &[("id", INT4)], &[1]);
    shop.rows.heirs.push(HeirRow { child: heir, parent: heirs, is_partition: false });
    let things = shop.relation("other", "things", 'r');
    shop.columns(things, &[("id", INT4)]);
    shop.index(things, &[1]).is_primary = true;
    shop.column(things, 1).not_null = true;
    // Views, one over the other.
    let rich = shop.relation("public", "rich", 'v');
    shop.columns(rich, &[("id", INT4), ("balance", INT4)]);
    shop.depends(rich, Dependent::Query, Needed::Relation(accounts));
    let richest = shop.relation("public", "richest", 'v');
    shop.columns(richest, &[("id", INT4)]);
    shop.depends(richest, Dependent::Query, Needed::Relation(rich));
    shop.relation("pg_catalog", "pg_class", 'r');
    shop.relation("public", "elsewhere", 'f');
}

/// One table for each type of key.
fn typed(shop: &mut Builder) {
    for (name, type_oid) in [
        ("uuids", 2950),
        ("days", 1082),
        ("amounts", 1700),
        ("codes", 1043),
        ("padded", 1042),
        ("flags", 16),
        ("stamps", 1184),
        ("folded", TEXT),
    ] {
        let table = shop.table(name, &[("k", type_oid), ("v", TEXT)], &[1]);
        match name {
            // numeric(10, 2), varchar(5)
            "amounts" => shop.column(table, 1).modifier = 4 + (10 << 16 | 2),
            "codes" => shop.column(table, 1).modifier = 4 + 5,
            "folded" => shop.column(table, 1).is_deterministic = false,
            _ => {}
        }
    }
    shop.table("loose", &[("a", INT4), ("b", INT4)], &[]);
    // A unique index over an expression: lower(address).
    let emails = shop.table("emails", &[("id", INT4), ("address", TEXT), ("seen", INT4)], &[1]);
    let index = shop.index(emails, &[0]);
    index.mentions = vec![2];
}

/// Tables with triggers and rules.
fn guarded(shop: &mut Builder) {
    let audited = shop.table("audited", &[("id", INT4), ("a", INT4), ("b", INT4)], &[1]);
    // AFTER UPDATE OF a FOR EACH ROW.
    let row = TriggerRow {
        oid: shop.oid(),
        relation: audited,
        kind: 1 | 16,
        columns: vec![2],
        is_harmless: false,
        function: 0,
        is_plain: true,
        transition_tables: Vec::new(),
    };
    shop.rows.triggers.push(row.clone());
    let (oid, columns) = (shop.oid(), Vec::new());
    let trigger = TriggerRow { oid, kind: 1 | 2 | 8, columns, is_harmless: true, ..row };
    shop.rows.triggers.push(trigger);
    let ruled = shop.table("ruled", &[("id", INT4)], &[1]);
    let oid = shop.oid();
    shop.rows.rules.push(RuleRow { oid, relation: ruled, event: '3' });
}

fn functions(shop: &mut Builder) {
    use Volatility::{Immutable, Stable, Volatile};
    for (name, volatility) in [
        ("now", Stable),
        ("lower", Immutable),
        ("count", Immutable),
        ("sum", Immutable),
        ("max", Immutable),
        ("random", Volatile),
        ("clock_timestamp", Volatile),
        ("gen_random_uuid", Volatile),
        ("pg_export_snapshot", Volatile),
        ("nextval", Volatile),
        ("setval", Volatile),
        ("currval", Volatile),
        ("set_config", Volatile),
        ("pg_sleep", Volatile),
        ("pg_advisory_xact_lock", Volatile),
        ("pg_try_advisory_lock", Volatile),
        ("lo_unlink", Volatile),
        ("query_to_xml", Stable),
        ("generate_series", Immutable),
    ] {
        shop.function("pg_catalog", name, volatility);
    }
    shop.function("public", "add_tax", Immutable);
    shop.function("public", "total_of", Stable);
    shop.function("public", "book", Volatile);
    shop.function("public", "uuid_generate_v4", Volatile);
    shop.function("other", "tidy", Volatile);
    shop.rows.operators.push(ImpureRow { name: "<~>".to_owned(), volatility: Volatile });
    shop.rows.types.push(ImpureRow { name: "booked".to_owned(), volatility: Volatile });
}
