//! The values that travel between the domain files and the engines: [`Param`] in, [`RowRef`] out.
//!
//! Five kinds of value exist in both dialects (NULL, 64-bit integer, double, text, bytes); everything the
//! domain files store is one of them. Booleans are 0 and 1, moments are milliseconds, lists are JSON text.

use bytes::BytesMut;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::types::{IsNull, ToSql, Type};

use super::StoreError;
use crate::vocabulary::Timestamp;

/// One bound parameter. It borrows; binding copies nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Param<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<i32> for Param<'_> {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}
impl From<u32> for Param<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}
impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}
impl From<Timestamp> for Param<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.0)
    }
}
impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}
impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Builds a parameter slice: `params![tenant, id, 3_i64]`.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::row::Param::from($value)),*] };
}
pub(crate) use params;

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
            Self::Blob(value) => value.to_sql(kind, out),
        }
    }

    // The statement decides the type; a mismatch shows in the first test that runs the statement.
    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// One row of an answer, whichever engine gave it. Columns are asked by position.
pub(crate) enum RowRef<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $kind:ty) => {
        $(#[$doc])*
        pub(crate) fn $name(&self, at: usize) -> Result<$kind, StoreError> {
            match self {
                Self::Sqlite(row) => row.get(at).map_err(|e| StoreError::Row(e.to_string())),
                Self::Postgres(row) => row.try_get(at).map_err(|e| StoreError::Row(e.to_string())),
            }
        }
    };
}

impl RowRef<'_> {
    getter!(int, i64);
    getter!(opt_int, Option<i64>);
    getter!(real, f64);
    getter!(text, String);
    getter!(opt_text, Option<String>);
    getter!(blob, Vec<u8>);
    getter!(opt_blob, Option<Vec<u8>>);

    /// A column of text where it lies.
    pub(crate) fn borrowed(&self, at: usize) -> Result<&str, StoreError> {
        match self {
            Self::Sqlite(row) => row
                .get_ref(at)
                .map_err(|e| StoreError::Row(e.to_string()))?
                .as_str()
                .map_err(|e| StoreError::Row(e.to_string())),
            Self::Postgres(row) => row.try_get(at).map_err(|e| StoreError::Row(e.to_string())),
        }
    }

    /// A 32-byte digest.
    pub(crate) fn digest(&self, at: usize) -> Result<[u8; 32], StoreError> {
        <[u8; 32]>::try_from(self.blob(at)?).map_err(|_| StoreError::Row("a digest is not 32 bytes".into()))
    }

    /// A moment.
    pub(crate) fn time(&self, at: usize) -> Result<Timestamp, StoreError> {
        self.int(at).map(Timestamp)
    }

    /// A moment that may be missing.
    pub(crate) fn opt_time(&self, at: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_int(at)?.map(Timestamp))
    }

    /// 0 or 1.
    pub(crate) fn flag(&self, at: usize) -> Result<bool, StoreError> {
        Ok(self.int(at)? != 0)
    }

    /// A small count; negative or huge means the row was not written by us.
    pub(crate) fn count(&self, at: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(at)?).map_err(|_| StoreError::Row("a count is out of range".into()))
    }

    /// A column of JSON text.
    pub(crate) fn json<T: DeserializeOwned>(&self, at: usize) -> Result<T, StoreError> {
        from_json(self.borrowed(at)?)
    }

    /// Text that must satisfy a vocabulary type.
    pub(crate) fn name<T>(&self, at: usize) -> Result<T, StoreError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.borrowed(at)?
            .parse()
            .map_err(|e: T::Err| StoreError::Row(e.to_string()))
    }
}

/// JSON text of a value we own. Our types have string keys and finite numbers, so this only fails on a bug.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Invalid {
        what: format!("cannot be stored as JSON: {e}"),
    })
}

/// Reads what [`to_json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Row(e.to_string()))
}
