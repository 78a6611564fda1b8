//! `footbridge-server channel …`: the address at which a channel of a workspace takes messages.

use anyhow::Result;
use clap::Subcommand;
use footbridge_server::{domain::workspace::Workspace, operate::boot};
use secrecy::ExposeSecret;

use super::{OfTenant, Place, print};

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Make a new address for messages to a channel, and show it once. The one before stops working.
    Secret {
        /// The channel: its slug, name or id.
        channel: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

impl ChannelCommand {
    pub(crate) async fn run(self) -> Result<()> {
        let Self::Secret {
            channel,
            tenant,
            place,
        } = self;
        let config = place.config()?;
        let store = place.open().await?;
        let workspace = Workspace::new(store.clone(), boot::seal_key(&store).await?);
        let made = workspace.new_channel_secret(&tenant.tenant, &channel).await;
        store.close().await;
        let made = made?;
        let base = config
            .edge
            .base_url(config.server.listen, config.server.tls_certificate.is_some());
        print::line(&format!(
            "Messages to the channel \"{}\" are brought to this address, as a mail or as JSON. It is shown once; whoever has it can \
             write to the channel:\n\n    POST {base}/in/{}\n\nWebhooks of the tenant are signed with this secret (X-Footbridge-Signature):\n\n    {}",
            made.channel,
            made.inbound.expose_secret(),
            made.signing.expose_secret()
        ))?;
        Ok(())
    }
}
