//! What SQLite's planner is told of the tables. Without statistics it takes an equality on the first column of an index
//! to leave ten rows; here that column is nearly always the tenant, which leaves all of them, and the planner would walk
//! a whole table where two hundred keys are asked for. Measured statistics would come too late for a table that fills in
//! an hour and would change plans under way, so that these are fixed.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

/// Rows that every table is taken to have.
const ROWS: u64 = 1_000_000;

struct Index {
    table: String,
    name: String,
    unique: bool,
    columns: Vec<String>,
}

/// Tells the planner of every index that it knows nothing of yet.
pub(super) async fn state(db: &DatabaseConnection) -> Result<(), DbErr> {
    let indexes = indexes(db).await?;
    // Makes the table of statistics, if it is not there.
    db.execute_unprepared("ANALYZE sqlite_schema").await?;
    let there = query(db, "SELECT count(*) AS n FROM sqlite_schema WHERE name = 'sqlite_stat1'").await?;
    let there = there.first().map(|row| row.try_get::<i64>("", "n")).transpose()?.unwrap_or_default();
    if there == 0 {
        db.execute_unprepared("ANALYZE").await?;
    }
    let told = query(db, "SELECT idx FROM sqlite_stat1 WHERE idx IS NOT NULL").await?;
    let told: Vec<String> = told.iter().map(|row| row.try_get("", "idx")).collect::<Result<_, _>>()?;
    let new: Vec<&Index> = indexes.iter().filter(|index| !told.contains(&index.name)).collect();
    for index in &new {
        let values = [index.table.clone(), index.name.clone(), estimate(index)];
        let insert = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)";
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), insert, values.map(Into::into)))
            .await?;
    }
    if !new.is_empty() {
        db.execute_unprepared("ANALYZE sqlite_schema").await?;
    }
    Ok(())
}

/// "Rows, then rows that share the first column, the first two, …" (SQLite, file format, section 2.6.3).
fn estimate(index: &Index) -> String {
    let mut same = ROWS;
    let mut words = vec![ROWS.to_string()];
    for (at, column) in index.columns.iter().enumerate() {
        same = match column.as_str() {
            "tenant" | "ehr" => same,
            "class" | "kind" | "state" | "resource_type" | "subject_kind" | "provider" | "rule" | "step" => {
                (same / 5).max(1)
            }
            "patient" | "subject" => same.min(20),
            _ => same.min(2),
        };
        if index.unique && at + 1 == index.columns.len() {
            same = 1;
        }
        words.push(same.to_string());
    }
    words.join(" ")
}

async fn indexes(db: &DatabaseConnection) -> Result<Vec<Index>, DbErr> {
    let rows = query(
        db,
        "SELECT t.name AS tbl, i.name AS idx, i.\"unique\" AS uniq, c.name AS col FROM sqlite_schema t, \
         pragma_index_list(t.name) i, pragma_index_info(i.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' \
         ORDER BY t.name, i.name, c.seqno",
    )
    .await?;
    let mut indexes: Vec<Index> = Vec::new();
    for row in rows {
        let (name, column): (String, String) = (row.try_get("", "idx")?, row.try_get("", "col")?);
        match indexes.last_mut().filter(|last| last.name == name) {
            Some(last) => last.columns.push(column),
            None => indexes.push(Index {
                table: row.try_get("", "tbl")?,
                name,
                unique: row.try_get::<i64>("", "uniq")? != 0,
                columns: vec![column],
            }),
        }
    }
    Ok(indexes)
}

async fn query(db: &DatabaseConnection, sql: &str) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await
}
