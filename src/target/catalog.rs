//! Reads what has to be known of a database to tell what a statement does to it.
//!
//! The queries hold for PostgreSQL 12 to 18. Each reads one kind of row for the whole database.

use tokio::try_join;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::error::ObserveError;
use super::observer::Observer;
use crate::replay::footprint::catalog::{
    ArgumentRow, ColumnRow, DependencyRow, Dependent, ForeignKeyRow, FunctionRow, HeirRow,
    ImpureRow, IndexRow, Needed, Purity, RelationRow, RoutineRow, Rows, RuleRow, SettingRow,
    TriggerRow,
};

impl Observer {
    /// What the catalogs of the observer's own database say.
    pub async fn catalog(&self) -> Result<Rows, ObserveError> {
        let (settings, relations, heirs, columns, indexes, foreign_keys) = try_join!(
            self.read(SETTINGS, setting),
            self.read(RELATIONS, relation),
            self.read(HEIRS, heir),
            self.read(COLUMNS, column),
            self.read(INDEXES, index),
            self.read(FOREIGN_KEYS, foreign_key),
        )?;
        let (triggers, rules, dependencies, functions, routines, operators, types) = try_join!(
            self.read(TRIGGERS, trigger),
            self.read(RULES, rule),
            self.read(DEPENDENCIES, dependency),
            self.read(FUNCTIONS, function),
            self.read(ROUTINES, routine),
            self.read(OPERATORS, impure),
            self.read(TYPES, impure),
        )?;
        Ok(Rows {
            settings,
            relations,
            heirs,
            columns,
            indexes,
            foreign_keys,
            triggers,
            rules,
            dependencies,
            functions,
            routines,
            operators,
            types,
        })
    }

    async fn read<T>(
        &self,
        query: &str,
        row: fn(&Reader<'_>) -> Result<T, ObserveError>,
    ) -> Result<Vec<T>, ObserveError> {
        let rows = self.client().query(query, &[]).await?;
        rows.iter().map(|read| row(&Reader(read))).collect()
    }
}

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

    fn purity(&self, column: &str) -> Result<Purity, ObserveError> {
        Ok(match self.code(column)? {
            'i' => Purity::Pure,
            's' => Purity::Stable,
            _ => Purity::Volatile,
        })
    }
}

/// As the server starts with them, then from the widest to the narrowest of what `ALTER ROLE` and
/// `ALTER DATABASE` say: the last one counts.
const SETTINGS: &str = "
    SELECT NULL::text AS role, name, CASE WHEN source IN ('default', 'configuration file',
               'command line', 'environment variable') THEN setting ELSE boot_val END AS value,
           0 AS rank
    FROM pg_catalog.pg_settings
    WHERE name IN ('search_path', 'default_transaction_isolation', 'standard_conforming_strings')
    UNION ALL
    SELECT r.rolname::text, pg_catalog.lower(pg_catalog.split_part(c, '=', 1)), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1),
           CASE WHEN setrole = 0 THEN 1 ELSE 3 END + CASE WHEN setdatabase = 0 THEN 0 ELSE 1 END
    FROM pg_catalog.pg_db_role_setting
    CROSS JOIN LATERAL pg_catalog.unnest(setconfig) AS c
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole
    WHERE setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database
                              WHERE datname = pg_catalog.current_database()))
      AND pg_catalog.lower(pg_catalog.split_part(c, '=', 1)) IN ('search_path', 'default_transaction_isolation')
    ORDER BY rank";

fn setting(row: &Reader<'_>) -> Result<SettingRow, ObserveError> {
    Ok(SettingRow { role: row.get("role")?, name: row.get("name")?, value: row.get("value")? })
}

const RELATIONS: &str = "
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
    ORDER BY c.oid";

fn relation(row: &Reader<'_>) -> Result<RelationRow, ObserveError> {
    Ok(RelationRow {
        oid: row.get("oid")?,
        schema: row.get("schema")?,
        name: row.get("name")?,
        kind: row.code("kind")?,
    })
}

const HEIRS: &str = "
    SELECT i.inhrelid AS child, i.inhparent AS parent, c.relispartition AS is_partition
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
    ORDER BY child, parent";

fn heir(row: &Reader<'_>) -> Result<HeirRow, ObserveError> {
    Ok(HeirRow {
        child: row.get("child")?,
        parent: row.get("parent")?,
        is_partition: row.get("is_partition")?,
    })
}

/// A domain counts as the type below it, an enumeration as text.
const COLUMNS: &str = "
    WITH RECURSIVE base(type, below, modifier) AS (
        SELECT oid, CASE WHEN typtype = 'e' THEN 'pg_catalog.text'::pg_catalog.regtype::oid
                         ELSE oid END, -1
        FROM pg_catalog.pg_type WHERE typtype <> 'd'
        UNION ALL
        SELECT d.oid, b.below,
               CASE WHEN d.typtypmod <> -1 THEN d.typtypmod ELSE b.modifier END
        FROM pg_catalog.pg_type d JOIN base b ON b.type = d.typbasetype WHERE d.typtype = 'd')
    SELECT a.attrelid AS relation, a.attnum AS number, a.attname::text AS name,
           b.below AS type_oid,
           CASE WHEN a.atttypmod <> -1 THEN a.atttypmod ELSE b.modifier END AS modifier,
           a.attnotnull AS not_null, coalesce(l.collisdeterministic, true) AS is_deterministic,
           a.attgenerated <> '' AS is_generated,
           a.atthasdef OR a.attidentity <> '' AS has_default
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN base b ON b.type = a.atttypid
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY relation, number";

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

/// The columns of INCLUDE are no keys.
const INDEXES: &str = "
    SELECT i.indexrelid AS oid, i.indrelid AS relation,
           (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns,
           ARRAY(SELECT k FROM pg_catalog.unnest(i.indkey::int2[]) AS k WHERE k > 0
                 UNION
                 SELECT d.refobjsubid::int2 FROM pg_catalog.pg_depend d
                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND d.objid = i.indexrelid AND d.refobjsubid > 0
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND d.refobjid = i.indrelid
                 ORDER BY 1) AS mentions,
           i.indisprimary AS is_primary, i.indimmediate AS is_immediate,
           i.indpred IS NULL AS is_whole, i.indisunique AND NOT i.indisexclusion AS is_unique
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE (i.indisunique OR i.indisexclusion) AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY oid";

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

const FOREIGN_KEYS: &str = "
    SELECT conrelid AS child, conkey AS child_columns, confrelid AS parent,
           confkey AS parent_columns, confupdtype::text AS on_update,
           confdeltype::text AS on_delete
    FROM pg_catalog.pg_constraint WHERE contype = 'f'
    ORDER BY oid";

fn foreign_key(row: &Reader<'_>) -> Result<ForeignKeyRow, ObserveError> {
    Ok(ForeignKeyRow {
        child: row.get("child")?,
        child_columns: row.get("child_columns")?,
        parent: row.get("parent")?,
        parent_columns: row.get("parent_columns")?,
        on_update: row.code("on_update")?,
        on_delete: row.code("on_delete")?,
    })
}

/// PostgreSQL's own trigger functions, and two of its contributed ones, change the row at hand and
/// nothing else. One that may be deferred fires with the end of its transaction.
const TRIGGERS: &str = "
    SELECT t.tgrelid AS relation, t.tgtype AS kind, t.tgattr::int2[] AS columns,
           p.oid < 16384 OR l.lanname = 'c' AND p.proname IN ('moddatetime', 'insert_username')
               AS is_harmless,
           t.tgfoid AS function,
           NOT t.tgdeferrable AND NOT EXISTS (
               SELECT FROM pg_catalog.regexp_matches(
                   t.tgqual::text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') AS f(called)
               JOIN pg_catalog.pg_proc c ON c.oid = f.called[1]::oid
               WHERE c.oid >= 16384 OR c.provolatile = 'v') AS is_plain,
           pg_catalog.array_remove(ARRAY[t.tgnewtable::text, t.tgoldtable::text], NULL)
               AS transition_tables
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE NOT t.tgisinternal AND t.tgenabled NOT IN ('D', 'R')
    ORDER BY t.oid";

fn trigger(row: &Reader<'_>) -> Result<TriggerRow, ObserveError> {
    Ok(TriggerRow {
        relation: row.get("relation")?,
        kind: row.get("kind")?,
        columns: row.get("columns")?,
        is_harmless: row.get("is_harmless")?,
        function: row.get("function")?,
        is_plain: row.get("is_plain")?,
        transition_tables: row.get("transition_tables")?,
    })
}

const RULES: &str = "
    SELECT ev_class AS relation, ev_type::text AS event FROM pg_catalog.pg_rewrite
    WHERE ev_type <> '1' AND ev_enabled NOT IN ('D', 'R') AND oid >= 16384
    ORDER BY oid";

fn rule(row: &Reader<'_>) -> Result<RuleRow, ObserveError> {
    Ok(RuleRow { relation: row.get("relation")?, event: row.code("event")? })
}

/// Dependencies on what is PostgreSQL's own are not recorded: the functions among it that are declared
/// volatile, or run queries, are told from the parsed expressions. (A default's nextval is told by
/// the sequence.) A check is that of the table or of a
/// column's domain.
const DEPENDENCIES: &str = "
    WITH made(classid, objid, relation, dependent, number, tree) AS (
        SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass::oid, w.oid, w.ev_class, 'query', 0,
               w.ev_action::text
        FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
        WHERE w.ev_type = '1' AND c.relkind = 'v' AND c.oid >= 16384
        UNION ALL
        SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, p.polrelid, 'query', 0,
               pg_catalog.concat(p.polqual::text, p.polwithcheck::text)
        FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
        WHERE c.relrowsecurity
        UNION ALL
        SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid, d.adrelid, 'default', d.adnum,
               d.adbin::text
        FROM pg_catalog.pg_attrdef d
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, k.conrelid, 'check', 0,
               k.conbin::text
        FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND k.conrelid <> 0
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, a.attrelid, 'check', 0,
               k.conbin::text
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.atttypid = k.contypid
        WHERE k.contypid <> 0 AND a.attnum > 0),
    needs(relation, dependent, number, function, needed) AS (
        SELECT m.relation, m.dependent, m.number, true, p.oid
        FROM made m
        JOIN pg_catalog.pg_depend d ON d.classid = m.classid AND d.objid = m.objid
        JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
        WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid >= 16384
        UNION
        SELECT m.relation, m.dependent, m.number, true, p.oid
        FROM made m
        JOIN pg_catalog.pg_depend d ON d.classid = m.classid AND d.objid = m.objid
        JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid
        JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
        WHERE d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND p.oid >= 16384
        UNION
        SELECT m.relation, m.dependent, m.number, true, p.oid
        FROM made m
        CROSS JOIN LATERAL pg_catalog.regexp_matches(
            m.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') AS f(called)
        JOIN pg_catalog.pg_proc p ON p.oid = f.called[1]::oid
        WHERE p.oid < 16384 AND NOT (m.dependent = 'default' AND p.proname = 'nextval')
          AND (p.provolatile = 'v' OR p.proname ~ '_to_xml|^ts_(stat|rewrite)')
        UNION
        SELECT m.relation, m.dependent, m.number, false, c.oid
        FROM made m
        JOIN pg_catalog.pg_depend d ON d.classid = m.classid AND d.objid = m.objid
        JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
        WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid <> m.relation
          AND (m.dependent = 'query' OR m.dependent = 'default' AND c.relkind = 'S')
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION
        SELECT d.refobjid, 'default', d.refobjsubid, false, d.objid
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'i'
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND s.relkind = 'S' AND d.refobjsubid > 0)
    SELECT relation, dependent, number::int2 AS number, function, needed FROM needs
    ORDER BY relation, dependent, number, function, needed";

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

const FUNCTIONS: &str = "
    SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name,
           p.provolatile::text AS purity, l.lanname IN ('c', 'internal') AS is_in_c,
           p.oid < 16384 AS is_built_in
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    ORDER BY p.oid";

fn function(row: &Reader<'_>) -> Result<FunctionRow, ObserveError> {
    Ok(FunctionRow {
        oid: row.get("oid")?,
        schema: row.get("schema")?,
        name: row.get("name")?,
        purity: row.purity("purity")?,
        is_in_c: row.get("is_in_c")?,
        is_built_in: row.get("is_built_in")?,
    })
}

/// Of an argument without a mode it is `i`.
const ROUTINES: &str = "
    SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name, l.lanname::text AS language,
           p.prosrc AS body, coalesce(p.proargnames, '{}') AS names,
           coalesce(p.proargmodes::text[], '{}') AS modes,
           ARRAY(SELECT t.typname::text
                 FROM pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
                     WITH ORDINALITY AS a(type, number)
                 JOIN pg_catalog.pg_type t ON t.oid = a.type ORDER BY a.number) AS types,
           p.pronargdefaults AS defaults, p.provariadic <> 0 AS is_variadic,
           p.prokind = 'p' AS is_procedure, r.typname::text AS returns,
           p.proretset AS returns_set,
           CASE WHEN p.prosecdef THEN pg_catalog.pg_get_userbyid(p.proowner)::text END AS runs_as,
           coalesce(p.proconfig, '{}') AS settings
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    JOIN pg_catalog.pg_type r ON r.oid = p.prorettype
    WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p')
    ORDER BY p.oid";

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

const OPERATORS: &str = "
    SELECT DISTINCT o.oprname::text AS name, p.provolatile::text AS purity
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
    WHERE p.oid >= 16384 AND p.provolatile <> 'i'
    ORDER BY name, purity";

/// By a cast of somebody's own, by the type's input function, by the checks of a domain.
const TYPES: &str = "
    SELECT DISTINCT t.typname::text AS name, p.provolatile::text AS purity
    FROM (SELECT casttarget, castfunc FROM pg_catalog.pg_cast
          UNION ALL
          SELECT oid, typinput FROM pg_catalog.pg_type
          UNION ALL
          SELECT k.contypid, d.refobjid
          FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_depend d
            ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
          WHERE k.contypid <> 0
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass) AS f(type, function)
    JOIN pg_catalog.pg_type t ON t.oid = f.type
    JOIN pg_catalog.pg_proc p ON p.oid = f.function
    WHERE p.oid >= 16384 AND p.provolatile <> 'i'
    ORDER BY name, purity";

fn impure(row: &Reader<'_>) -> Result<ImpureRow, ObserveError> {
    Ok(ImpureRow { name: row.get("name")?, purity: row.purity("purity")? })
}
