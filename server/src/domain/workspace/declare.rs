//! A tenant's own fields, declared one by one (`footbridge-server workspace field …`).

use futures_util::FutureExt;
use serde_json::json;

use super::{
    Workspace,
    custom::{self, Declared, FieldType},
    kinds::{account::Account, contact::Contact, lead::Lead, ticket::Ticket},
    record::{Kind, Who},
};
use crate::{
    domain::DomainError,
    store::{NewChange, TenantTx},
    vocabulary::TenantId,
};

/// Kinds whose tools take fields of a tenant's own.
pub const KINDS_WITH_FIELDS: [&str; 4] = [Lead::NAME, Contact::NAME, Account::NAME, Ticket::NAME];
/// Most fields that one kind has.
const MOST_DECLARED: usize = 50;

/// A declared field as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnField {
    /// Of which kind of record.
    pub kind: String,
    /// Its name, under `custom`.
    pub name: String,
    /// Its type.
    pub wanted: FieldType,
}

impl Workspace {
    /// The own fields of a tenant's records, by kind and name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_fields(&self, tenant: &TenantId) -> Result<Vec<OwnField>, DomainError> {
        let declared = self
            .store()
            .read(tenant, |tx| {
                async move { tx.settings().get::<Declared>(custom::SETTING).await }.boxed()
            })
            .await?;
        let fields = declared
            .unwrap_or_default()
            .into_iter()
            .flat_map(|(kind, fields)| {
                fields.into_iter().map(move |(name, wanted)| OwnField {
                    kind: kind.clone(),
                    name,
                    wanted,
                })
            });
        Ok(fields.collect())
    }

    /// Declares one own field, in place of the one of that name. `wanted`: `text`, `number`, `boolean`, `date` or `choice`,
    /// which has `choices`. Records keep the values that they have.
    ///
    /// # Errors
    /// What of the declaration cannot be.
    pub async fn add_own_field(
        &self,
        tenant: &TenantId,
        kind: &str,
        name: &str,
        wanted: &str,
        choices: Vec<String>,
    ) -> Result<(), DomainError> {
        if !KINDS_WITH_FIELDS.contains(&kind) {
            return Err(DomainError::argument(format!(
                "`{kind}` takes no fields of your own; {} do",
                KINDS_WITH_FIELDS.join(", ")
            )));
        }
        custom::check_name(name)?;
        let field = FieldType::of(wanted, choices)?;
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let work = self.store().write(tenant, move |tx| {
            async move {
                let mut declared = all(tx).await?;
                let fields = declared.entry(kind.clone()).or_default();
                fields.insert(name.clone(), field.clone());
                if fields.len() > MOST_DECLARED {
                    return Err(DomainError::Rule(format!(
                        "a {kind} has at most {MOST_DECLARED} fields of your own"
                    )));
                }
                save(tx, &declared, &kind, &name, Some(&field)).await
            }
            .boxed()
        });
        work.await
    }

    /// Takes the declaration of an own field back; records keep the values that they have. `false`: there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove_own_field(
        &self,
        tenant: &TenantId,
        kind: &str,
        name: &str,
    ) -> Result<bool, DomainError> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let work = self.store().write(tenant, move |tx| {
            async move {
                let mut declared = all(tx).await?;
                let fields = declared.get_mut(&kind);
                if fields.and_then(|fields| fields.remove(&name)).is_none() {
                    return Ok(false);
                }
                save(tx, &declared, &kind, &name, None).await?;
                Ok(true)
            }
            .boxed()
        });
        work.await
    }
}

async fn all(tx: &mut TenantTx<'_>) -> Result<Declared, DomainError> {
    let declared = tx.settings().get(custom::SETTING).await?;
    Ok(declared.unwrap_or_default())
}

async fn save(
    tx: &mut TenantTx<'_>,
    declared: &Declared,
    kind: &str,
    name: &str,
    field: Option<&FieldType>,
) -> Result<(), DomainError> {
    tx.settings().set(custom::SETTING, declared).await?;
    let who = Who::person("operator");
    let mut change = NewChange::new(who.actor(), "field.declare", "setting", format!("{kind}.{name}"));
    change.after = Some(json!({ "type": field.map(FieldType::shown) }));
    tx.log_change(change);
    Ok(())
}
