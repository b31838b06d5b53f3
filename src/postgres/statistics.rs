//! Reads what the server counts of itself.

use std::collections::HashSet;

use serde_json::Value;
use tokio_postgres::types::Oid;

use super::error::ObserveError;
use super::observer::Observer;
use crate::replay::report::resources::StatisticsRow;
use crate::replay::report::resources::statements::{
    FIELDS, Field, Figures, LONGEST_TEXT, MOST, StatementRow,
};

/// The views that are read, as far as the version has them.
const VIEWS: [&str; 5] =
    ["pg_stat_database", "pg_stat_bgwriter", "pg_stat_checkpointer", "pg_stat_wal", "pg_stat_io"];

const VIEWS_THERE: &str = "
    SELECT relname::text FROM pg_catalog.pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relname::text = ANY ($1)";

/// Where pg_stat_statements is in this database, with the columns of its view.
const STATEMENTS_THERE: &str = "
    SELECT n.nspname::text, pg_catalog.array_agg(a.attname::text)
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE e.extname = 'pg_stat_statements'
    GROUP BY n.nspname";

const DATABASES: &str = "
    SELECT datname::text FROM pg_catalog.pg_database
    WHERE datallowconn AND NOT datistemplate ORDER BY datname";

/// `pg_read_all_stats`, which `pg_monitor` has too.
const MAY_READ_ALL: &str = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";

/// The column of the first figure, behind the database, the user and the statement.
const FIRST_FIGURE: usize = 3;

/// pg_stat_statements, as one database has it.
#[derive(Debug, Clone)]
pub struct StatementsView {
    schema: String,
    columns: HashSet<String>,
}

impl Observer {
    /// What the server has counted, by view, whichever columns its version has.
    pub async fn statistics(&self) -> Result<Vec<StatisticsRow>, ObserveError> {
        let views = self.client().query(VIEWS_THERE, &[&&VIEWS[..]]).await?;
        let mut rows = Vec::new();
        for view in &views {
            let view: &str = view.try_get(0)?;
            let sql = format!("SELECT pg_catalog.to_jsonb(s)::text FROM pg_catalog.{view} s");
            for row in self.client().query(&sql, &[]).await? {
                let json: &str = row.try_get(0)?;
                if let Ok(Value::Object(row)) = serde_json::from_str(json) {
                    rows.extend(StatisticsRow::read(view, &row));
                }
            }
        }
        Ok(rows)
    }

    /// Whether what is read holds all that had been counted by this time of the server. Up to PostgreSQL
    /// 14 a process of its own counts, and writes it down every half second at most.
    pub async fn statistics_hold(&self, time: &str) -> Result<bool, ObserveError> {
        let sql = "SELECT COALESCE(\
                   pg_catalog.pg_stat_get_snapshot_timestamp() >= $1::text::timestamptz, true)";
        Ok(self.client().query_one(sql, &[&time]).await?.try_get(0)?)
    }

    /// The server's time.
    pub async fn server_time(&self) -> Result<String, ObserveError> {
        let sql = "SELECT pg_catalog.clock_timestamp()::text";
        Ok(self.client().query_one(sql, &[]).await?.try_get(0)?)
    }

    /// The databases that can be connected to.
    pub async fn databases(&self) -> Result<Vec<String>, ObserveError> {
        let rows = self.client().query(DATABASES, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Whether what other users run is shown too.
    pub async fn reads_all_statistics(&self) -> Result<bool, ObserveError> {
        Ok(self.client().query_one(MAY_READ_ALL, &[]).await?.try_get(0)?)
    }

    /// pg_stat_statements, if it is installed in this database.
    pub async fn statements_view(&self) -> Result<Option<StatementsView>, ObserveError> {
        let row = self.client().query_opt(STATEMENTS_THERE, &[]).await?;
        row.map(|row| {
            let columns: Vec<String> = row.try_get(1)?;
            Ok(StatementsView { schema: row.try_get(0)?, columns: columns.into_iter().collect() })
        })
        .transpose()
    }

    /// What it has counted, of these databases or of all, without the texts: those that took the longest
    /// first, and one more than are kept.
    pub async fn statements(
        &self,
        view: &StatementsView,
        databases: Option<&[String]>,
    ) -> Result<Vec<StatementRow>, ObserveError> {
        let rows = self.client().query(&view.sql(), &[&databases]).await?;
        rows.iter()
            .map(|row| {
                let (database, user, query_id) =
                    (row.try_get(0)?, row.try_get::<_, Oid>(1)?, row.try_get(2)?);
                let mut figures = Figures::default();
                for (at, figure) in figures.iter_mut().enumerate() {
                    *figure = row.try_get(at + FIRST_FIGURE)?;
                }
                Ok(StatementRow { database, user, query_id, figures })
            })
            .collect()
    }

    /// The texts of these statements, those that are not too long.
    pub async fn statement_texts(
        &self,
        view: &StatementsView,
        query_ids: &[i64],
    ) -> Result<Vec<(i64, String)>, ObserveError> {
        let sql = format!(
            "SELECT DISTINCT ON (queryid) queryid, query FROM {}.pg_stat_statements(true) \
             WHERE queryid = ANY ($1) AND pg_catalog.octet_length(query) <= {LONGEST_TEXT}",
            quoted(&view.schema)
        );
        let rows = self.client().query(&sql, &[&query_ids]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

impl StatementsView {
    /// The statements that were sent by clients, not those of functions.
    fn sql(&self) -> String {
        let figures: Vec<String> =
            FIELDS.iter().map(|(field, columns)| self.figure(*field, columns)).collect();
        let top_level = if self.columns.contains("toplevel") { " AND s.toplevel" } else { "" };
        format!(
            "SELECT d.datname::text, s.userid, s.queryid, {} \
             FROM {}.pg_stat_statements(false) s JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
             WHERE s.queryid IS NOT NULL{top_level} \
             AND ($1::text[] IS NULL OR d.datname::text = ANY ($1)) \
             ORDER BY {} DESC NULLS LAST LIMIT {MOST} + 1",
            figures.join(", "),
            quoted(&self.schema),
            Field::ExecMs as usize + FIRST_FIGURE + 1,
        )
    }

    fn figure(&self, field: Field, columns: &[&str]) -> String {
        let there = columns.iter().filter(|column| self.columns.contains(**column));
        let there: Vec<String> = there.map(|column| format!("s.{column}")).collect();
        let in_bytes = match field {
            Field::TempBytes => " * pg_catalog.current_setting('block_size')::int8",
            _ => "",
        };
        match there.is_empty() {
            true => "NULL::float8".to_owned(),
            false => format!("(({}){in_bytes})::float8", there.join(" + ")),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
