//! Signing in with e-mail address and password: who is it, or one and the same no.
//!
//! Guessing is bounded three times over. Attempts from one address (an IPv6 network of 64 bits counts as one) are
//! counted in this process, before anything costs more than a look into a table. Attempts on one account, and on one
//! account from one address, are counted in the store, for all replicas together, before a password is hashed. The
//! pair has the narrow limit and the account alone the wide one: somebody who guesses from one address shuts out
//! that address, not the account's owner. Accounts that do not exist are counted and take their time like those
//! that do.

use std::net::{IpAddr, Ipv6Addr};

use futures_util::FutureExt;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tracing::info;

use super::{OperateError, Standing, note, passwords};
use crate::{
    limits::AddressMeters,
    store::{Store, StoreError, SystemTx, TenantStatus, User},
    vocabulary::{TenantId, Timestamp},
};

const MINUTE_MS: i64 = 60 * 1000;
/// Attempts on one account from one address in [`PAIR_WINDOW_MS`]: enough for a person with three passwords in mind.
const MOST_PER_PAIR: i64 = 10;
const PAIR_WINDOW_MS: i64 = 15 * MINUTE_MS;
/// Attempts on one account from anywhere in [`ACCOUNT_WINDOW_MS`]: 2400 a day get nowhere against 12 characters.
const MOST_PER_ACCOUNT: i64 = 100;
const ACCOUNT_WINDOW_MS: i64 = 60 * MINUTE_MS;

/// The one place that checks passwords of people who sign in.
#[derive(Debug)]
pub struct PasswordCheck {
    store: Store,
    addresses: AddressMeters,
}

/// What was typed.
#[derive(Debug)]
pub struct Attempt {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: SecretString,
    /// The tenant, which somebody who belongs to several names.
    pub tenant: Option<TenantId>,
    /// Where it comes from.
    pub address: IpAddr,
}

impl PasswordCheck {
    /// Lets one address try `per_minute` times a minute.
    pub fn new(store: Store, per_minute: u32) -> Self {
        Self {
            store,
            addresses: AddressMeters::new(per_minute),
        }
    }

    /// Counts an attempt of an address, whatever it signs in with.
    ///
    /// # Errors
    /// When it tried too often in the last minute.
    pub fn count(&self, address: IpAddr) -> Result<(), OperateError> {
        let counted = self.addresses.count(network(address));
        counted.map_err(|limit| OperateError::TooManyAttempts(limit.retry_after_seconds()))?;
        Ok(())
    }

    /// Finds out who signs in.
    ///
    /// # Errors
    /// [`OperateError::WrongPassword`] for every reason that concerns the account (unknown, wrong, without a password,
    /// disabled, tenant suspended); [`OperateError::TooManyAttempts`] and [`OperateError::Busy`] say when to come back.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<(TenantId, User), OperateError> {
        self.count(attempt.address)?;
        let address = network(attempt.address);
        let account = digest(&attempt.email.trim().to_lowercase());
        let pair = format!("{account}@{address}");
        let (tenant, email) = (attempt.tenant, attempt.email.trim().to_owned());
        let (counted_account, counted_pair) = (account.clone(), pair.clone());
        let found = self
            .store
            .system_write(move |tx| {
                async move {
                    let now = tx.now();
                    if let Err(seconds) = count_pair(tx, &counted_pair).await? {
                        return Ok(Err(seconds));
                    }
                    let by_account = tx
                        .sign_in_attempts()
                        .count(&counted_account, ACCOUNT_WINDOW_MS)
                        .await?;
                    if by_account.count > MOST_PER_ACCOUNT {
                        return Ok(Err(wait(by_account.since, ACCOUNT_WINDOW_MS, now)));
                    }
                    let mut found = tx.users().find_by_email(&email).await?;
                    found.retain(|(of, _)| tenant.as_ref().is_none_or(|tenant| tenant == of));
                    // One hash is checked, never several: the time taken tells nobody how many accounts there are.
                    let one = if found.len() == 1 { found.pop() } else { None };
                    Ok::<_, OperateError>(Ok(one))
                }
                .boxed()
            })
            .await?;
        let found = found.map_err(OperateError::TooManyAttempts)?;
        let hash = found.as_ref().and_then(|(_, user)| user.password_hash.clone());
        let right = passwords::verify(attempt.password, hash).await?;
        let Some((tenant, user)) = found.filter(|_| right) else {
            // Not whose: a row for those who exist would take time that the others do not take.
            info!(%address, "refused a sign-in: wrong e-mail address or password");
            return Err(OperateError::WrongPassword);
        };
        self.admit(tenant, user, account, pair).await
    }

    /// The password was right: looks once more whether the person may come in, and takes the attempt back.
    async fn admit(
        &self,
        tenant: TenantId,
        user: User,
        account: String,
        pair: String,
    ) -> Result<(TenantId, User), OperateError> {
        self.store
            .system_write(move |tx| {
                async move {
                    let active = tx
                        .tenants()
                        .find(&tenant)
                        .await?
                        .is_some_and(|tenant| tenant.status == TenantStatus::Active);
                    let now = tx.within(&tenant).users().find(&user.id).await?;
                    let unchanged = |now: &User| {
                        active && now.disabled_at.is_none() && now.password_hash == user.password_hash
                    };
                    let Some(user) = now.filter(unchanged) else {
                        return Err(OperateError::WrongPassword);
                    };
                    tx.sign_in_attempts().forget(&pair).await?;
                    tx.sign_in_attempts().forgive(&account).await?;
                    let by = Standing::Person(Box::new(user.clone()));
                    note(
                        &mut tx.within(&tenant),
                        &by,
                        "user.sign_in",
                        user.id.as_str(),
                        None,
                        None,
                    );
                    Ok((tenant, user))
                }
                .boxed()
            })
            .await
    }

    /// Forgets attempts that no longer count. Called now and then.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn tidy(&self) -> Result<(), OperateError> {
        self.addresses.forget_quiet();
        self.store
            .system_write(|tx| {
                async move {
                    let before = tx.now().plus_millis(-ACCOUNT_WINDOW_MS);
                    tx.sign_in_attempts().purge(before).await?;
                    Ok(())
                }
                .boxed()
            })
            .await
    }
}

/// Counts an attempt under the narrow limit; over it, gives the seconds until it is open again.
pub(super) async fn count_pair(tx: &mut SystemTx<'_>, subject: &str) -> Result<Result<(), u64>, StoreError> {
    let attempts = tx.sign_in_attempts().count(subject, PAIR_WINDOW_MS).await?;
    if attempts.count > MOST_PER_PAIR {
        return Ok(Err(wait(attempts.since, PAIR_WINDOW_MS, tx.now())));
    }
    Ok(Ok(()))
}

/// Seconds until a window ends, at least one.
fn wait(since: Timestamp, window_ms: i64, now: Timestamp) -> u64 {
    let left = since.plus_millis(window_ms).as_millis() - now.as_millis();
    u64::try_from(left).unwrap_or(0).div_ceil(1000).max(1)
}

/// Whoever has one address of an IPv6 network of 64 bits has all of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// What an account is counted under: tables of attempts are no list of addresses.
fn digest(email: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(Sha256::digest(email.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv6_network_and_one_mapped_address_count_once() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn the_wait_is_what_is_left_of_the_window() {
        let now = Timestamp(1_000_000);
        assert_eq!(wait(now, 60_000, now), 60);
        assert_eq!(wait(now.plus_millis(-59_500), 60_000, now), 1);
        assert_eq!(wait(now.plus_millis(-90_000), 60_000, now), 1);
    }
}
