//! What listed records must meet.

use super::FieldValue;
use crate::store::StoreError;

/// What a field of a listed record must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// One of these values; a field with several values needs one of them.
    OneOf(String, Vec<FieldValue>),
    /// Within a range of one kind of value: from this on, and before that.
    Between(String, Option<FieldValue>, Option<FieldValue>),
}

/// From where to where, in bytes.
pub(super) type Range = (Vec<u8>, Vec<u8>);

impl Condition {
    /// The field has this value.
    pub fn is(field: &str, value: impl Into<FieldValue>) -> Self {
        Self::OneOf(field.to_owned(), vec![value.into()])
    }

    /// The field that it is about.
    pub(super) fn field(&self) -> &str {
        let (Self::OneOf(field, _) | Self::Between(field, ..)) = self;
        field
    }

    /// Whether it asks for a range.
    pub(super) fn is_range(&self) -> bool {
        matches!(self, Self::Between(..))
    }

    /// Whether no record can meet it.
    pub(super) fn is_void(&self) -> bool {
        matches!(self, Self::OneOf(_, values) if values.is_empty())
    }

    /// The moments between which records must have been made, if it says nothing else. Every entry of an index tells when
    /// its record was made.
    pub(super) fn window(&self) -> Option<(Option<i64>, Option<i64>)> {
        let moment = |value: &Option<FieldValue>| match value {
            None => Some(None),
            Some(FieldValue::Int(millis)) => Some(Some(*millis)),
            Some(_) => None,
        };
        match self {
            Self::Between(field, from, to) if field == "created_at" => Some((moment(from)?, moment(to)?)),
            _ => None,
        }
    }

    /// Whether a value of the field is what is asked for.
    pub(super) fn holds(&self, value: &[u8]) -> Result<bool, StoreError> {
        match self {
            Self::OneOf(_, values) => {
                for wanted in values {
                    if wanted.to_bytes()? == value {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Between(_, from, to) => {
                let bounds = bounds(from.as_ref(), to.as_ref())?;
                Ok(bounds.is_none_or(|(from, to)| *from <= *value && *value < *to))
            }
        }
    }
}

/// From where to where a range goes; `None` when it has no end.
pub(super) fn bounds(
    from: Option<&FieldValue>,
    to: Option<&FieldValue>,
) -> Result<Option<Range>, StoreError> {
    let Some(kind) = from.or(to) else { return Ok(None) };
    let (low, high) = kind.kind_bounds();
    let from = from.map_or(Ok(low.to_vec()), FieldValue::to_bytes)?;
    let to = to.map_or(Ok(high.to_vec()), FieldValue::to_bytes)?;
    Ok(Some((from, to)))
}
