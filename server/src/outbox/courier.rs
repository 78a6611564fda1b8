//! Takes what is due from the queue and delivers it.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use super::{
    ATTEMPTS, Dispatch, Dispatcher, Event, Fate, InvitationToken, NotificationSettings, OutboxError, Parcel,
    QUEUE, Recipients, Way, backoff,
    mail::Mailer,
    webhook::{Notice, Poster, Webhook},
};
use crate::{
    catalogue::ADMINS,
    outgoing::SigningKey,
    store::{Job, JobState, Store, StoreError, TenantTx, Topic, User},
    vocabulary::{TenantId, Timestamp, new_id},
};

/// Deliveries under way at once.
const AT_ONCE: u32 = 16;
/// Longer than any delivery may take; what is held longer was lost.
const LEASE_MS: u32 = 120_000;
/// What a message says whose last attempt never came to an end.
const LOST: &str = "the server stopped during the last attempt; it may have arrived";
/// For one delivery, the mail server's patience included.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the queue is looked at when nobody said that something is in it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long a store that failed is left alone.
const RETRY_STORE: Duration = Duration::from_secs(5);
/// Most mails of one event: a group that is larger has a mailing list, which is one address.
const MOST_MAILS: usize = 100;

/// Who is told, ready to be told.
pub(super) struct Receivers {
    webhook: Option<Webhook>,
    mailer: Option<Mailer>,
    /// For addresses that tenants choose.
    poster: Poster,
}

impl Receivers {
    pub(super) fn open(settings: &NotificationSettings) -> Result<Self, OutboxError> {
        let routes = settings.routes()?;
        let webhook = routes
            .webhook
            .map(|(url, secret)| Webhook::new(url, &secret, settings.allow_private));
        let mailer = routes.mail.map(|(smtp, from)| Mailer::new(&smtp, from));
        Ok(Self {
            webhook: webhook.transpose()?,
            mailer: mailer.transpose()?,
            poster: Poster::new(settings.allow_private)?,
        })
    }
}

/// Delivers events.
pub struct Courier {
    store: Store,
    to: Receivers,
    /// Scheme and authority of links into the console.
    base_url: String,
    dispatcher: Option<Arc<dyn Dispatcher>>,
}

impl Courier {
    /// A courier for the receivers of the settings.
    ///
    /// # Errors
    /// What of the settings is not in order.
    pub fn new(store: Store, settings: &NotificationSettings, base_url: String) -> Result<Self, OutboxError> {
        Ok(Self {
            store,
            to: Receivers::open(settings)?,
            base_url,
            dispatcher: None,
        })
    }

    /// Has messages to people outside signed and followed by whoever dispatches them.
    #[must_use]
    pub fn on_behalf_of(mut self, dispatcher: Arc<dyn Dispatcher>) -> Self {
        self.dispatcher = Some(dispatcher);
        self
    }

    /// Delivers until told to stop. What is under way then is finished first.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.store.listen(&[Topic::Jobs]);
        while !stop.is_cancelled() {
            let (pause, listens) = match self.due_in().await {
                Ok(pause) if pause.is_zero() => match self.deliver_due().await {
                    Ok(_) => continue,
                    Err(error) => (given_up(&error), false),
                },
                Ok(pause) => (pause, true),
                Err(error) => (given_up(&error), false),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = changes.next(), if listens => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How long until something is due; at most [`LOOK_EVERY`].
    async fn due_in(&self) -> Result<Duration, StoreError> {
        let next = self
            .store
            .system_read(|tx| async move { tx.jobs().next_due(QUEUE).await }.boxed())
            .await?;
        let Some(at) = next else { return Ok(LOOK_EVERY) };
        let wait = at
            .as_millis()
            .saturating_sub(self.store.clock().now().as_millis());
        Ok(Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LOOK_EVERY))
    }

    /// Delivers what is due now, once; gives how many attempts that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliver_due(&self) -> Result<usize, StoreError> {
        let owner = new_id("courier", self.store.clock().now());
        let due = self
            .store
            .system_write(move |tx| {
                async move { tx.jobs().lease(QUEUE, &owner, LEASE_MS, AT_ONCE).await }.boxed()
            })
            .await?;
        let ended = join_all(due.into_iter().map(|job| self.deliver(job))).await;
        let count = ended.len();
        ended.into_iter().collect::<Result<(), _>>()?;
        Ok(count)
    }

    async fn deliver(&self, job: Job) -> Result<(), StoreError> {
        let Ok(parcel) = serde_json::from_value::<Parcel>(job.payload.clone()) else {
            return self.end(job, Err("this version cannot read it".to_owned())).await;
        };
        if let Parcel::Dispatch { dispatch } = &parcel
            && job.attempt > ATTEMPTS
        {
            let dispatch = dispatch.clone();
            return self.end_dispatch(job, dispatch, Err(LOST.to_owned())).await;
        }
        let work = async {
            let page = |event: &Event| format!("{}{}", self.base_url, event.letter.path);
            match &parcel {
                Parcel::Event { event } => return self.fan_out(&job, event).await.map(|()| None),
                Parcel::Webhook { event } => match &self.to.webhook {
                    Some(webhook) => {
                        webhook
                            .post(&job.tenant, event, &page(event), self.store.clock().now())
                            .await
                    }
                    None => Err("no webhook is configured any more".to_owned()),
                },
                Parcel::Mail { event, address } => match &self.to.mailer {
                    Some(mailer) => match self.link(&job.tenant, event, page(event)).await? {
                        Some(link) => mailer.send(event, address, link.as_deref()).await,
                        None => Ok(json!({ "skipped": "the invitation is not open any more" })),
                    },
                    None => Err("no mail server is configured".to_owned()),
                },
                Parcel::Dispatch { dispatch } => self.send_on(&job.tenant, dispatch).await,
            }
            .map_or_else(|why| Ok(Some(Err(why))), |said| Ok(Some(Ok(said))))
        };
        let came = tokio::time::timeout(DELIVERY_TIMEOUT, work)
            .await
            .unwrap_or_else(|_| Ok(Some(Err("it took too long".to_owned()))))?;
        match (came, parcel) {
            (Some(said), Parcel::Dispatch { dispatch }) => self.end_dispatch(job, dispatch, said).await,
            (Some(said), _) => self.end(job, said).await,
            (None, _) => Ok(()),
        }
    }

    /// Sends a message to somebody outside. Gives what the next system said, or why it took nothing.
    async fn send_on(&self, tenant: &TenantId, dispatch: &Dispatch) -> Result<Value, String> {
        match &dispatch.way {
            Way::Mail(envelope) => match &self.to.mailer {
                Some(mailer) => mailer.send_on(envelope).await,
                None => {
                    Err("no mail server is configured: set smtp and from under [notifications]".to_owned())
                }
            },
            Way::Webhook {
                url,
                event,
                created_at,
                data,
            } => {
                let Some(dispatcher) = &self.dispatcher else {
                    return Err("nobody signs webhooks on this server".to_owned());
                };
                let address = Url::parse(url).map_err(|e| format!("the webhook's address is none: {e}"))?;
                let notice = Notice {
                    id: &dispatch.id,
                    event,
                    created_at: *created_at,
                    page: None,
                    data,
                };
                let key = SigningKey::new(&dispatcher.signing_secret(tenant));
                let now = self.store.clock().now();
                self.to.poster.post(&address, &key, tenant, notice, now).await
            }
        }
    }

    /// Writes down what became of an attempt to send a message, beside the message itself.
    async fn end_dispatch(
        &self,
        job: Job,
        dispatch: Dispatch,
        said: Result<Value, String>,
    ) -> Result<(), StoreError> {
        let tenant = job.tenant.clone();
        let dispatcher = self.dispatcher.clone();
        let pause = backoff::after(job.attempt, backoff::random());
        self.store
            .write(&tenant, move |tx| {
                async move {
                    let fate = match said {
                        Ok(said) => {
                            if !tx.jobs().complete(&job, &said).await? {
                                return Ok(());
                            }
                            match dispatch.way {
                                Way::Mail(_) => Fate::Sent,
                                Way::Webhook { .. } => Fate::Delivered,
                            }
                        }
                        Err(why) => {
                            let again = (job.attempt < ATTEMPTS).then(|| later(tx.now(), pause));
                            match tx.jobs().fail(&job, &why, again).await? {
                                None => return Ok(()),
                                Some(JobState::Queued) => Fate::Waits(why),
                                Some(_) => Fate::Failed(why),
                            }
                        }
                    };
                    match dispatcher {
                        Some(dispatcher) => {
                            dispatcher
                                .report(tx, &dispatch, job.attempt.min(ATTEMPTS), fate)
                                .await
                        }
                        None => Ok(()),
                    }
                }
                .boxed()
            })
            .await
    }

    /// The link at the end of a letter. `None`: the letter is about nothing any more.
    async fn link(
        &self,
        tenant: &TenantId,
        event: &Event,
        url: String,
    ) -> Result<Option<Option<String>>, StoreError> {
        let invitation = match &event.to {
            Recipients::Invited { invitation, .. } => invitation.clone(),
            Recipients::Address(_) => return Ok(Some(None)),
            _ => return Ok(Some(Some(url))),
        };
        let token = InvitationToken::new().map_err(|e| StoreError::Invalid {
            what: format!("no random bytes: {e}"),
        })?;
        let hash = token.hash();
        let renewed = self.store.write(tenant, move |tx| {
            async move { tx.invitations().renew(&invitation, &hash).await }.boxed()
        });
        let link = format!("{}/console/invitation#{}", self.base_url, token.text());
        Ok(renewed.await?.then_some(Some(link)))
    }

    /// Makes a parcel for each receiver, and ends the event's own.
    async fn fan_out(&self, job: &Job, event: &Event) -> Result<(), StoreError> {
        // A letter to somebody outside is tried, and seen to fail, where there is no mail server.
        let outside = matches!(event.to, Recipients::Address(_) | Recipients::Invited { .. });
        let (hooks, mails) = (
            self.to.webhook.is_some() && !outside,
            self.to.mailer.is_some() || outside,
        );
        let (tenant, job, event) = (job.tenant.clone(), job.clone(), event.clone());
        self.store
            .write(&tenant, move |tx| {
                async move {
                    let mut parcels = Vec::new();
                    if hooks {
                        parcels.push(Parcel::Webhook { event: event.clone() });
                    }
                    if mails {
                        let addresses = addresses(tx, &event.to).await?;
                        parcels.extend(addresses.into_iter().map(|address| Parcel::Mail {
                            event: event.clone(),
                            address,
                        }));
                    }
                    let told = json!({ "receivers": parcels.len() });
                    let now = tx.now();
                    for parcel in parcels {
                        tx.jobs().enqueue(&parcel.into_job(now)?).await?;
                    }
                    tx.jobs().complete(&job, &told).await.map(|_| ())
                }
                .boxed()
            })
            .await
    }

    /// Writes down what became of an attempt.
    async fn end(&self, job: Job, said: Result<Value, String>) -> Result<(), StoreError> {
        let tenant = job.tenant.clone();
        let pause = backoff::after(job.attempt, backoff::random());
        self.store
            .write(&tenant, move |tx| {
                async move {
                    match said {
                        Ok(said) => tx.jobs().complete(&job, &said).await.map(|_| ()),
                        Err(why) => {
                            let again = later(tx.now(), pause);
                            tx.jobs().fail(&job, &why, Some(again)).await.map(|_| ())
                        }
                    }
                }
                .boxed()
            })
            .await
    }
}

/// Says that the store does not answer, and how long to leave it alone.
fn given_up(error: &StoreError) -> Duration {
    warn!(error = %error, "nothing can be delivered");
    RETRY_STORE
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

async fn addresses(tx: &mut TenantTx<'_>, to: &Recipients) -> Result<Vec<String>, StoreError> {
    if let Recipients::Address(address) | Recipients::Invited { address, .. } = to {
        return Ok(vec![address.clone()]);
    }
    let wanted = |user: &User| match to {
        Recipients::Nobody | Recipients::Address(_) | Recipients::Invited { .. } => false,
        Recipients::Person(id) => user.id == *id,
        Recipients::Groups { groups, but } => {
            let is_in =
                |group: &String| (group == ADMINS && user.role.is_admin()) || user.groups.contains(group);
            user.id != *but && groups.iter().any(is_in)
        }
    };
    let users = tx.users().list().await?;
    let reached = users
        .into_iter()
        .filter(|user| user.disabled_at.is_none() && wanted(user));
    Ok(reached.map(|user| user.email).take(MOST_MAILS).collect())
}
