//! The secret in a channel's inbound address, `POST /in/<secret>`: shown once, stored as a hash, and naming its tenant, so
//! that it is looked for among that tenant's channels alone.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::channel::Channel,
            record::{self, Stored, Who},
        },
    },
    store::{FieldValue, ReadTx, TenantTx},
    vocabulary::{TenantId, hexadecimal, sha256},
};

/// How secrets of channels begin, so that whoever finds one knows what it is.
const PREFIX: &str = "chs_";
/// Random bytes: nobody guesses among 2^256.
const BYTES: usize = 32;
/// The longest that is looked at: prefix, tenant, a dot and the bytes in hexadecimal.
const LONGEST: usize = PREFIX.len() + 63 + 1 + 2 * BYTES;

/// A secret as somebody brought it.
#[derive(Clone)]
pub(crate) struct ChannelSecret {
    tenant: TenantId,
    hash: String,
}

impl ChannelSecret {
    /// Reads one. `None`: it can be none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (tenant, random) = text.strip_prefix(PREFIX)?.rsplit_once('.')?;
        let plain = text.len() <= LONGEST && random.len() == 2 * BYTES;
        Some(Self {
            tenant: TenantId::new(tenant).ok().filter(|_| plain)?,
            hash: hash(text),
        })
    }

    /// The tenant whose channel it opens, if it opens one.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The channel that it opens.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn opens(&self, tx: &mut ReadTx<'_>) -> Result<Option<Stored<Channel>>, DomainError> {
        let hash = FieldValue::from(self.hash.as_str());
        let found = tx.records("channel").find_unique("secret_hash", &hash).await?;
        Ok(found
            .filter(|row| row.deleted_at.is_none())
            .as_ref()
            .map(Stored::of)
            .transpose()?)
    }
}

fn hash(text: &str) -> String {
    hexadecimal(&sha256(text))
}

/// Gives a channel a new secret; the one before opens nothing from then on.
///
/// # Errors
/// When the machine gives no random bytes, or the store fails.
pub(crate) async fn mint(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    who: &Who,
) -> Result<SecretString, DomainError> {
    let mut random = [0_u8; BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| DomainError::internal(std::io::Error::other(error.to_string())))?;
    let secret = SecretString::from(format!("{PREFIX}{}.{}", tx.tenant(), hexadecimal(&random)));
    let mut doc = channel.doc.clone();
    doc.fields.secret_hash = Some(hash(secret.expose_secret()));
    record::update(tx, &channel.id, &doc, None, who).await?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_shape_of_a_secret_is_looked_for() {
        let good = format!("chs_acme-2.{}", "ab".repeat(32));
        let read = ChannelSecret::read(&good).unwrap();
        assert_eq!(read.tenant().as_str(), "acme-2");
        assert_eq!(read.hash.len(), 64);
        for bad in [
            String::new(),
            "chs_".to_owned(),
            good.replace("chs_", "hmcp_"),
            good.replace("acme-2", "Acme"),
            good.replace("acme-2", ""),
            good.replace('.', ""),
            format!("{good}0"),
            format!("chs_{}.{}", "a".repeat(64), "ab".repeat(32)),
        ] {
            assert!(ChannelSecret::read(&bad).is_none(), "{bad}");
        }
    }
}
