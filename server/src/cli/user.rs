//! `footbridge-server user …`

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use footbridge_server::{
    operate::{
        Actor,
        invitations::{self, InviteRequest},
        new_password, oauth,
        people::{self, NewPerson, PersonChange, PersonView},
    },
    store::User,
    vocabulary::Role,
};

use super::{OfTenant, Place, print};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a person to a tenant. Give them a password with `user password`, or `invite` them instead.
    Add {
        /// Their e-mail address.
        email: String,
        /// Their name.
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        about: About,
    },
    /// Invite a person by a link that works once: they choose name and password.
    Invite {
        /// Their e-mail address.
        email: String,
        #[command(flatten)]
        rights: Rights,
        /// Days until the link is worth nothing, 1 to 30 [default: 7].
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
        #[command(flatten)]
        about: About,
    },
    /// List the invitations that are open.
    Invitations {
        #[command(flatten)]
        about: About,
    },
    /// Take an open invitation back.
    Uninvite {
        /// Its id.
        id: String,
        #[command(flatten)]
        about: About,
    },
    /// List the people of a tenant.
    List {
        #[command(flatten)]
        about: About,
    },
    /// Change a person's role; their keys follow within a second.
    Role {
        /// Their e-mail address or id.
        who: String,
        /// owner, admin, auditor, member or agent.
        role: Role,
        #[command(flatten)]
        about: About,
    },
    /// Replace a person's groups.
    Groups {
        /// Their e-mail address or id.
        who: String,
        /// All their groups, separated by commas; an empty text for none.
        #[arg(value_delimiter = ',')]
        groups: Vec<String>,
        #[command(flatten)]
        about: About,
    },
    /// Shut a person out; their keys stop within a second.
    Disable {
        /// Their e-mail address or id.
        who: String,
        #[command(flatten)]
        about: About,
    },
    /// Give a disabled person their rights back.
    Enable {
        /// Their e-mail address or id.
        who: String,
        #[command(flatten)]
        about: About,
    },
    /// Say who a person is at an identity provider, so that they sign in there as themselves.
    Link {
        /// Their e-mail address.
        who: String,
        /// Who they are there: the `sub` of their tokens.
        subject: String,
        /// The provider [default: the one that the configuration names under sign_in].
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        #[command(flatten)]
        about: About,
    },
    /// Make a link with which a person chooses a new password: it works once, for a day.
    PasswordLink {
        /// Their e-mail address or id.
        who: String,
        #[command(flatten)]
        about: About,
    },
    /// Set a person's password: asked for, or taken from FOOTBRIDGE_PASSWORD or the first line of stdin.
    Password {
        /// Their e-mail address or id.
        who: String,
        #[command(flatten)]
        about: About,
    },
}

/// What a person gets.
#[derive(Debug, Args)]
pub(crate) struct Rights {
    /// owner, admin, auditor, member or agent.
    #[arg(long, default_value = "member")]
    role: Role,
    /// Groups, separated by commas.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    groups: Vec<String>,
}

/// Whose people, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

impl About {
    fn told(&self, user: &User, said: &str) -> Result<()> {
        if self.json {
            return print::json(&PersonView::from(user));
        }
        Ok(print::line(said)?)
    }

    async fn change(&self, who: &str, change: PersonChange) -> Result<User> {
        let store = self.place.open().await?;
        let user = people::change_user(&store, &Actor::Operator, &self.tenant.tenant, who, change).await?;
        store.close().await;
        Ok(user)
    }
}

impl UserCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Add {
                email,
                name,
                rights,
                about,
            } => {
                let store = about.place.open().await?;
                let person = NewPerson {
                    email,
                    name,
                    role: rights.role,
                    groups: rights.groups,
                };
                let user = people::add_user(&store, &Actor::Operator, &about.tenant.tenant, person).await?;
                store.close().await;
                about.told(
                    &user,
                    &format!("added {} as {} ({})", user.email, user.role.as_str(), user.id),
                )
            }
            Self::Invite {
                email,
                rights,
                expires_in_days,
                about,
            } => invite(email, rights, expires_in_days, &about).await,
            Self::Invitations { about } => list_invitations(&about).await,
            Self::Uninvite { id, about } => {
                let store = about.place.open().await?;
                let gone = invitations::revoke(&store, &Actor::Operator, &about.tenant.tenant, &id).await?;
                store.close().await;
                if about.json {
                    return print::json(&gone);
                }
                Ok(print::line(&format!(
                    "the invitation of {} is taken back",
                    gone.email
                ))?)
            }
            Self::List { about } => list(&about).await,
            Self::Role { who, role, about } => {
                let change = PersonChange {
                    role: Some(role),
                    ..PersonChange::default()
                };
                let user = about.change(&who, change).await?;
                about.told(&user, &format!("{} is now {}", user.email, user.role.as_str()))
            }
            Self::Groups { who, groups, about } => {
                let groups = groups.into_iter().filter(|group| !group.is_empty()).collect();
                let change = PersonChange {
                    groups: Some(groups),
                    ..PersonChange::default()
                };
                let user = about.change(&who, change).await?;
                let groups = user.groups.join(", ");
                about.told(&user, &format!("groups of {}: {groups}", user.email))
            }
            Self::Disable { who, about } => {
                let change = PersonChange {
                    active: Some(false),
                    ..PersonChange::default()
                };
                let user = about.change(&who, change).await?;
                about.told(&user, &format!("{} is shut out", user.email))
            }
            Self::Enable { who, about } => {
                let change = PersonChange {
                    active: Some(true),
                    ..PersonChange::default()
                };
                let user = about.change(&who, change).await?;
                about.told(&user, &format!("{} is {} again", user.email, user.role.as_str()))
            }
            Self::Link {
                who,
                subject,
                issuer,
                about,
            } => {
                let issuer =
                    match issuer {
                        Some(issuer) => issuer,
                        None => about.place.config()?.sign_in.issuer.context(
                            "the configuration names no identity provider; name it with --issuer URL",
                        )?,
                    };
                let store = about.place.open().await?;
                oauth::link_at(&store, &about.tenant.tenant, &issuer, &who, &subject).await?;
                store.close().await;
                Ok(print::line(&format!("{who} is {subject} at {issuer}"))?)
            }
            Self::PasswordLink { who, about } => password_link(&who, &about).await,
            Self::Password { who, about } => {
                let password = print::password()?;
                let store = about.place.open().await?;
                let user = new_password::set_password(&store, &about.tenant.tenant, &who, password).await?;
                store.close().await;
                about.told(&user, &format!("{} signs in with the new password", user.email))
            }
        }
    }
}

async fn invite(email: String, rights: Rights, expires_in_days: Option<u32>, about: &About) -> Result<()> {
    let store = about.place.open().await?;
    let request = InviteRequest {
        email,
        role: rights.role,
        groups: rights.groups,
        expires_in_days,
    };
    let invited = invitations::invite(&store, &Actor::Operator, &about.tenant.tenant, request).await?;
    store.close().await;
    if about.json {
        return print::json(&invited);
    }
    print::line(&invited.token)?;
    // Beside the token, as with keys: a script that captures stdout gets the token alone.
    eprintln!(
        "This is the only time the invitation's token is shown. It makes {} {} until {}, once.",
        invited.invitation.email,
        invited.invitation.role.as_str(),
        invited.invitation.expires_at
    );
    Ok(())
}

async fn password_link(who: &str, about: &About) -> Result<()> {
    let store = about.place.open().await?;
    let link = new_password::make_link(&store, &Actor::Operator, &about.tenant.tenant, who).await?;
    store.close().await;
    if about.json {
        return print::json(&link);
    }
    print::line(&link.token)?;
    eprintln!(
        "This is the only time it is shown. Until {}, {} sets a new password with it, once, at <this server>/console/password#{}",
        link.expires_at, link.email, link.token
    );
    Ok(())
}

async fn list_invitations(about: &About) -> Result<()> {
    let store = about.place.open().await?;
    let open = invitations::list(&store, &Actor::Operator, &about.tenant.tenant).await?;
    store.close().await;
    if about.json {
        return print::json(&open);
    }
    let rows: Vec<_> = open
        .into_iter()
        .map(|one| {
            [
                one.id,
                one.email,
                one.role.as_str().to_owned(),
                one.expires_at.to_string(),
            ]
        })
        .collect();
    Ok(print::table(["ID", "E-MAIL", "ROLE", "UNTIL"], &rows)?)
}

async fn list(about: &About) -> Result<()> {
    let store = about.place.open().await?;
    let users = people::users(&store, &Actor::Operator, &about.tenant.tenant).await?;
    store.close().await;
    if about.json {
        return print::json(&users.iter().map(PersonView::from).collect::<Vec<_>>());
    }
    let rows: Vec<_> = users
        .into_iter()
        .map(|user| {
            let state = if user.disabled_at.is_some() {
                "disabled"
            } else {
                "active"
            };
            [
                user.id.to_string(),
                user.email,
                user.name,
                user.role.as_str().to_owned(),
                user.groups.join(","),
                state.to_owned(),
            ]
        })
        .collect();
    Ok(print::table(
        ["ID", "E-MAIL", "NAME", "ROLE", "GROUPS", "STATE"],
        &rows,
    )?)
}
