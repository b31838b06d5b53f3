//! The queries for what has to be known of a database.
//!
//! They hold for PostgreSQL 12 to 18. Each reads one kind of row. Where only what belongs to some relations
//! is wanted, `{of}` says which; of functions, `{from}` says from which number on.

/// As the server starts with them, then from the widest to the narrowest of what `ALTER ROLE` and
/// `ALTER DATABASE` say: the last one counts.
pub(super) const SETTINGS: &str = "
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

pub(super) const RELATIONS: &str = "
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND c.oid {of}
    ORDER BY c.oid";

pub(super) const HEIRS: &str = "
    SELECT i.inhrelid AS child, i.inhparent AS parent, c.relispartition AS is_partition
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND i.inhrelid {of}
    ORDER BY child, parent";

/// A domain counts as the type below it, an enumeration as text.
pub(super) const COLUMNS: &str = "
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
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid {of} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY relation, number";

/// The columns of INCLUDE are no keys.
pub(super) const INDEXES: &str = "
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
    WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid {of} AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY oid";

pub(super) const FOREIGN_KEYS: &str = "
    SELECT oid, conrelid AS child, conkey AS child_columns, confrelid AS parent,
           confkey AS parent_columns, confupdtype::text AS on_update,
           confdeltype::text AS on_delete
    FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid {of}
    ORDER BY oid";

/// PostgreSQL's own trigger functions, and two of its contributed ones, change the row at hand and
/// nothing else. One that may be deferred fires with the end of its transaction.
pub(super) const TRIGGERS: &str = "
    SELECT t.oid, t.tgrelid AS relation, t.tgtype AS kind, t.tgattr::int2[] AS columns,
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
    WHERE NOT t.tgisinternal AND t.tgenabled NOT IN ('D', 'R') AND t.tgrelid {of}
    ORDER BY t.oid";

pub(super) const RULES: &str = "
    SELECT oid, ev_class AS relation, ev_type::text AS event FROM pg_catalog.pg_rewrite
    WHERE ev_type <> '1' AND ev_enabled NOT IN ('D', 'R') AND oid >= 16384
      AND ev_class {of}
    ORDER BY oid";

/// Dependencies on what is PostgreSQL's own are not recorded: the functions among it that are declared
/// volatile, or run queries, are told from the parsed expressions. (A default's nextval is told by
/// the sequence.) A check is that of the table or of a
/// column's domain.
pub(super) const DEPENDENCIES: &str = "
    WITH made(classid, objid, relation, dependent, number, tree) AS (
        SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass::oid, w.oid, w.ev_class, 'query', 0,
               w.ev_action::text
        FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
        WHERE w.ev_type = '1' AND c.relkind = 'v' AND c.oid >= 16384 AND w.ev_class {of}
        UNION ALL
        SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, p.polrelid, 'query', 0,
               pg_catalog.concat(p.polqual::text, p.polwithcheck::text)
        FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
        WHERE c.relrowsecurity AND p.polrelid {of}
        UNION ALL
        SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid, d.adrelid, 'default', d.adnum,
               d.adbin::text
        FROM pg_catalog.pg_attrdef d WHERE d.adrelid {of}
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, k.conrelid, 'check', 0,
               k.conbin::text
        FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND k.conrelid <> 0 AND k.conrelid {of}
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, a.attrelid, 'check', 0,
               k.conbin::text
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.atttypid = k.contypid
        WHERE k.contypid <> 0 AND a.attnum > 0 AND a.attrelid {of}),
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
          AND s.relkind = 'S' AND d.refobjsubid > 0 AND d.refobjid {of})
    SELECT relation, dependent, number::int2 AS number, function, needed FROM needs";

pub(super) const FUNCTIONS: &str = "
    SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name,
           p.provolatile::text AS volatility, l.lanname IN ('c', 'internal') AS is_in_c,
           p.oid < 16384 AS is_built_in
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.oid >= {from}
    ORDER BY p.oid";

/// Of an argument without a mode it is `i`.
pub(super) const ROUTINES: &str = "
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

pub(super) const OPERATORS: &str = "
    SELECT DISTINCT o.oprname::text AS name, p.provolatile::text AS volatility
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
    WHERE p.oid >= 16384 AND p.provolatile <> 'i'
    ORDER BY name, volatility";

/// By a cast of somebody's own, by the type's input function, by the checks of a domain.
pub(super) const TYPES: &str = "
    SELECT DISTINCT t.typname::text AS name, p.provolatile::text AS volatility
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
    ORDER BY name, volatility";

/// Numbers that change with the rows of the catalogs: sums of hashes of each row's number, and of the
/// transaction that wrote it (`xmin`). Statistics are written in place and change nothing.
pub(super) const MARKS: &str = "
    WITH shared(kind, number, writer) AS (
        SELECT 1, oid, xmin FROM pg_catalog.pg_namespace
        UNION ALL SELECT 2, oid, xmin FROM pg_catalog.pg_operator WHERE oid >= 16384
        UNION ALL SELECT 3, oid, xmin FROM pg_catalog.pg_collation
        UNION ALL SELECT 4, oid, xmin FROM pg_catalog.pg_language
        UNION ALL SELECT 5, oid, xmin FROM pg_catalog.pg_constraint WHERE contypid <> 0
        UNION ALL SELECT 6, oid, xmin FROM pg_catalog.pg_proc WHERE oid < 16384),
    functions(kind, number, writer) AS (
        SELECT 1, oid, xmin FROM pg_catalog.pg_proc WHERE oid >= 16384
        UNION ALL SELECT 2, oid, xmin FROM pg_catalog.pg_cast WHERE oid >= 16384
        UNION ALL SELECT 3, oid, xmin FROM pg_catalog.pg_type
        WHERE oid >= 16384 AND typtype <> 'c' AND typcategory <> 'A'
           OR oid IN (SELECT pg_catalog.unnest(p.prorettype || p.proargtypes::oid[]
                                               || coalesce(p.proallargtypes, '{}'))
                      FROM pg_catalog.pg_proc p WHERE p.oid >= 16384)),
    relations(relation, kind, number, writer) AS (
        SELECT oid, 1, oid, xmin FROM pg_catalog.pg_class
        UNION ALL
        SELECT attrelid, 2, attnum::int4::oid, xmin FROM pg_catalog.pg_attribute
        WHERE attnum > 0 AND attrelid >= 16384
        UNION ALL
        SELECT indrelid, 3, indexrelid, xmin FROM pg_catalog.pg_index WHERE indexrelid >= 16384
        UNION ALL
        SELECT conrelid, 4, oid, xmin FROM pg_catalog.pg_constraint WHERE conrelid <> 0
        UNION ALL
        SELECT tgrelid, 5, oid, xmin FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT ev_class, 6, oid, xmin FROM pg_catalog.pg_rewrite WHERE oid >= 16384
        UNION ALL
        SELECT adrelid, 7, oid, xmin FROM pg_catalog.pg_attrdef
        UNION ALL
        SELECT polrelid, 8, oid, xmin FROM pg_catalog.pg_policy
        UNION ALL
        SELECT inhrelid, 9, inhparent, xmin FROM pg_catalog.pg_inherits
        UNION ALL
        SELECT refobjid, 10, objid, xmin FROM pg_catalog.pg_depend
        WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND deptype = 'i'
          AND refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND refobjid >= 16384),
    marks(part, relation, kind, number, writer) AS (
        SELECT 's', 0::oid, * FROM shared
        UNION ALL SELECT 'f', 0::oid, * FROM functions
        UNION ALL
        SELECT 'r', r.* FROM relations r JOIN pg_catalog.pg_class c ON c.oid = r.relation
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't')
    SELECT part, relation,
           pg_catalog.mod(pg_catalog.sum(pg_catalog.hashint8extended(
               (number::int8 << 32) | writer::text::int8, kind)), 4611686018427387904)::int8 AS mark
    FROM marks GROUP BY part, relation";
