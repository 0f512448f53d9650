//! The store's rules in SQL, once for SQLite and PostgreSQL: every method is one statement, so each is one atomic step.

pub(crate) mod statements;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{ColumnIndex, Decode, Encode, Row, Type};

use self::statements::Statements;
use super::types::whole_seconds;
use super::{
    CasOutcome, Cursor, Expiry, Fence, IndexEntry, IndexKey, LeaseOwner, MarkKey, Page, PutOnce,
    SessionStore, StoreError, Stored, Version,
};
use crate::session_id::StoreKey;

/// What SQLite and PostgreSQL do each in their own way: opening, binding, and telling the time.
#[async_trait]
pub(crate) trait Database: Debug + Send + Sync + 'static {
    /// One row of an answer.
    type Row: Columns + Send + Sync;

    /// The store's name in logs and metrics.
    const KIND: &'static str;

    /// Its name in sentences.
    const NAME: &'static str;

    /// The statements in this database's words.
    const STATEMENTS: Statements;

    /// Whether this code of an error says that only writes are refused: read-only, or no room left.
    fn refuses_writes(code: &str) -> bool;

    /// What is wrong where this code of an error says that the server does not let us, now or later.
    fn denies(_code: &str) -> Option<&'static str> {
        None
    }

    /// Runs a statement: `$1` is the time, where this process keeps it, and `$2` the first of `values`.
    async fn fetch(
        &self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Self::Row>, StoreError>;

    /// Runs a statement whose rows nobody wants; returns how many it touched.
    async fn execute(&self, statement: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError>;
}

/// One value of a statement.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Number(i64),
    /// NULL in the place of a number.
    NoNumber,
}

/// Binds the time, then `values`.
pub(crate) fn bound<'q, D>(
    statement: &'static str,
    now: Option<i64>,
    values: &'q [Value<'q>],
) -> sqlx::query::Query<'q, D, D::Arguments>
where
    D: sqlx::Database,
    &'q str: Encode<'q, D> + Type<D>,
    &'q [u8]: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D> + Type<D>,
{
    let query = sqlx::query(statement).bind(now);
    values.iter().fold(query, |query, value| match *value {
        Value::Text(text) => query.bind(text),
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Number(number) => query.bind(Some(number)),
        Value::NoNumber => query.bind(None::<i64>),
    })
}

/// The three types of our columns.
pub(crate) trait Columns {
    fn text(&self, column: usize) -> Result<String, sqlx::Error>;
    fn number(&self, column: usize) -> Result<i64, sqlx::Error>;
    fn bytes(&self, column: usize) -> Result<Bytes, sqlx::Error>;
}

impl<R> Columns for R
where
    R: Row,
    usize: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    fn text(&self, column: usize) -> Result<String, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: usize) -> Result<i64, sqlx::Error> {
        self.try_get(column)
    }

    fn bytes(&self, column: usize) -> Result<Bytes, sqlx::Error> {
        self.try_get::<Vec<u8>, _>(column).map(Bytes::from)
    }
}

/// Keeps the cause, which names neither addresses nor values of ours.
pub(crate) fn failed<D: Database>(error: sqlx::Error) -> StoreError {
    let name = D::NAME;
    let code = error.as_database_error().and_then(|cause| cause.code());
    if code.as_deref().is_some_and(D::refuses_writes) {
        return StoreError::ReadOnly { what: format!("{name} is read-only or full") };
    }
    if let Some(what) = code.as_deref().and_then(D::denies) {
        return StoreError::Denied { what: what.to_owned() };
    }
    #[cfg(feature = "postgres")]
    if super::certificate::was_refused(&error) {
        let what =
            format!("the certificate of the {name} server is not one that is trusted here (sslrootcert)");
        return StoreError::Denied { what };
    }
    let what = match &error {
        sqlx::Error::PoolTimedOut => {
            format!("{name} gave no connection in time: it is down, or has none left")
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => format!("the connection to {name} failed"),
        _ => format!("{name} did not do it"),
    };
    StoreError::unavailable(what, error)
}

/// A record whose value, version and end begin at `first`.
fn stored<D: Database>(row: &D::Row, first: usize) -> Result<Stored, StoreError> {
    let read = || {
        let end = row.number(first + 2)?;
        Ok(Stored::new(row.bytes(first)?, Version::from_number(row.number(first + 1)?), Some(end)))
    };
    read().map_err(failed::<D>)
}

fn number<D: Database>(row: &D::Row) -> Result<i64, StoreError> {
    row.number(0).map_err(failed::<D>)
}

fn seconds(ttl: Duration) -> Value<'static> {
    Value::Number(whole_seconds(ttl))
}

fn rows(limit: usize) -> Value<'static> {
    Value::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// Texts as a JSON array: the one kind of list that both databases take as a single value.
fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    serde_json::Value::from_iter(texts).to_string()
}

#[async_trait]
impl<D: Database> SessionStore for D {
    fn kind(&self) -> &'static str {
        D::KIND
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Stored>, StoreError> {
        let found = self.fetch(D::STATEMENTS.load, &[Value::Text(key.as_str())]).await?;
        found.first().map(|row| stored::<D>(row, 0)).transpose()
    }

    async fn load_many(&self, keys: &[StoreKey]) -> Result<Vec<Option<Stored>>, StoreError> {
        let wanted = list(keys.iter().map(StoreKey::as_str));
        let found = self.fetch(D::STATEMENTS.load_many, &[Value::Text(&wanted)]).await?;
        let mut records = std::collections::HashMap::with_capacity(found.len());
        for row in &found {
            records.insert(row.text(0).map_err(failed::<D>)?, stored::<D>(row, 1)?);
        }
        Ok(keys.iter().map(|key| records.get(key.as_str()).cloned()).collect())
    }

    async fn create(
        &self,
        key: &StoreKey,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Option<Version>, StoreError> {
        let values = [Value::Text(key.as_str()), Value::Bytes(&value), seconds(ttl)];
        let made = self.fetch(D::STATEMENTS.create, &values).await?;
        made.first().map(|row| number::<D>(row).map(Version::from_number)).transpose()
    }

    async fn compare_and_set(
        &self,
        key: &StoreKey,
        expected: &Version,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<CasOutcome, StoreError> {
        let expected = Value::Number(expected.to_number().unwrap_or(i64::MIN));
        let life = match expiry {
            Expiry::Keep => Value::NoNumber,
            Expiry::After(ttl) => seconds(ttl),
        };
        let values = [Value::Text(key.as_str()), expected, Value::Bytes(&value), life];
        if let Some(row) = self.fetch(D::STATEMENTS.compare_and_set, &values).await?.first() {
            return Ok(CasOutcome::Saved(Version::from_number(number::<D>(row)?)));
        }
        // Which of the two it was is only a report: the update above changed nothing in either case.
        Ok(if self.load(key).await?.is_some() { CasOutcome::Conflict } else { CasOutcome::Gone })
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let deleted = self.fetch(D::STATEMENTS.delete, &[Value::Text(key.as_str())]).await?;
        deleted.first().map_or(Ok(false), |row| Ok(number::<D>(row)? > 0))
    }

    async fn index_add(&self, names: &[IndexKey], key: &StoreKey, ttl: Duration) -> Result<(), StoreError> {
        let names = list(names.iter().map(IndexKey::as_str));
        let values = [Value::Text(&names), Value::Text(key.as_str()), seconds(ttl)];
        self.execute(D::STATEMENTS.index_add, &values).await.map(drop)
    }

    async fn index_remove(&self, names: &[IndexKey], key: &StoreKey) -> Result<(), StoreError> {
        let names = list(names.iter().map(IndexKey::as_str));
        let values = [Value::Text(&names), Value::Text(key.as_str())];
        self.execute(D::STATEMENTS.index_remove, &values).await.map(drop)
    }

    async fn index_lookup(&self, index: &IndexKey, limit: usize) -> Result<Vec<IndexEntry>, StoreError> {
        let values = [Value::Text(index.as_str()), rows(limit)];
        let found = self.fetch(D::STATEMENTS.index_lookup, &values).await?;
        let entry = |row: &D::Row| Ok(IndexEntry::new(StoreKey::from_store(row.text(0)?), row.number(1)?));
        found.iter().map(|row| entry(row).map_err(failed::<D>)).collect()
    }

    async fn acquire_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let values = [Value::Text(key.as_str()), Value::Text(owner.as_str()), seconds(ttl)];
        let taken = self.fetch(D::STATEMENTS.acquire_lease, &values).await?;
        taken.first().map(|row| Ok(Fence::new(number::<D>(row)?.unsigned_abs()))).transpose()
    }

    async fn extend_lease(
        &self,
        key: &StoreKey,
        owner: &LeaseOwner,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let values = [Value::Text(key.as_str()), Value::Text(owner.as_str()), seconds(ttl)];
        Ok(self.execute(D::STATEMENTS.extend_lease, &values).await? > 0)
    }

    async fn release_lease(&self, key: &StoreKey, owner: &LeaseOwner) -> Result<bool, StoreError> {
        let values = [Value::Text(key.as_str()), Value::Text(owner.as_str())];
        Ok(self.execute(D::STATEMENTS.release_lease, &values).await? > 0)
    }

    async fn put_once(&self, mark: &MarkKey, value: Bytes, ttl: Duration) -> Result<PutOnce, StoreError> {
        let values = [Value::Text(mark.as_str()), Value::Bytes(&value), seconds(ttl)];
        if self.execute(D::STATEMENTS.put_once, &values).await? > 0 {
            return Ok(PutOnce::First);
        }
        // It was there a moment ago; should it have ended since, it was used all the same.
        Ok(PutOnce::AlreadyThere(self.load_once(mark).await?.unwrap_or_default()))
    }

    async fn replace_once(&self, mark: &MarkKey, expected: &Bytes, value: Bytes) -> Result<bool, StoreError> {
        let values = [Value::Text(mark.as_str()), Value::Bytes(expected), Value::Bytes(&value)];
        Ok(self.execute(D::STATEMENTS.replace_once, &values).await? > 0)
    }

    async fn load_once(&self, mark: &MarkKey) -> Result<Option<Bytes>, StoreError> {
        let found = self.fetch(D::STATEMENTS.load_once, &[Value::Text(mark.as_str())]).await?;
        found.first().map(|row| row.bytes(0).map_err(failed::<D>)).transpose()
    }

    async fn sweep_expired(&self, limit: usize) -> Result<u64, StoreError> {
        let mut removed = 0;
        for statement in D::STATEMENTS.sweep {
            removed += self.execute(statement, &[rows(limit)]).await?;
        }
        Ok(removed)
    }

    async fn scan(&self, prefix: &str, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let after = cursor.as_ref().map_or(prefix, Cursor::as_str);
        // Hexadecimal digits follow the prefix, and all of them sort below `g`.
        let end = format!("{prefix}g");
        let values = [Value::Text(after), Value::Text(&end), rows(limit.max(1))];
        let found = self.fetch(D::STATEMENTS.scan, &values).await?;
        let records = (found.iter())
            .map(|row| Ok((row.text(0).map_err(failed::<D>)?, stored::<D>(row, 1)?)))
            .collect::<Result<Vec<(String, Stored)>, StoreError>>()?;
        let last = records.last().filter(|_| records.len() == limit.max(1));
        let next = last.map(|(key, _)| Cursor::new(key.as_str()));
        Ok(Page::new(records, next))
    }

    async fn count_hint(&self, _prefix: &str) -> Result<Option<u64>, StoreError> {
        let counted = self.fetch(D::STATEMENTS.count, &[]).await?;
        counted.first().map(|row| Ok(number::<D>(row)?.max(0).unsigned_abs())).transpose()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.execute(D::STATEMENTS.ping, &[]).await.map(drop)
    }
}
