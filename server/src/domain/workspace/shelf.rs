//! Articles as people outside read them: published ones that are for everybody, by the name in their address.

use futures_util::FutureExt;

use super::{
    Workspace,
    kinds::article::{Article, ArticleStatus, Visibility},
    record::{self, Kind, Stored},
    talk::Refused,
};
use crate::{
    domain::DomainError,
    store::ReadTx,
    vocabulary::{TenantId, Timestamp},
};

/// Archived articles in a row that lead to one another before that is called a circle.
const MOST_MOVES: usize = 5;

/// What stands at an address.
#[derive(Clone, Debug)]
pub enum OnShelf {
    /// An article.
    Here(PublicArticle),
    /// It was archived, and readers go to the article of this slug.
    Moved(String),
}

/// An article for everybody.
#[derive(Clone, Debug)]
pub struct PublicArticle {
    /// Its title.
    pub title: String,
    /// Its text.
    pub body_markdown: String,
    /// When it was last saved.
    pub updated_at: Timestamp,
    /// Counts its saves: no two texts of one article have the same.
    pub version: u32,
}

/// Where people outside read an article, behind the server's own address.
pub(crate) fn path(tenant: &TenantId, slug: &str) -> String {
    format!("/kb/{tenant}/{slug}")
}

impl Workspace {
    /// What people outside find at a slug of a tenant. Drafts, internal articles and what was never there look alike.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn on_shelf(&self, tenant: &str, slug: &str) -> Result<Option<OnShelf>, Refused> {
        let Ok(tenant) = TenantId::new(tenant) else {
            return Ok(None);
        };
        let slug = slug.to_lowercase();
        let found = self.store().read(&tenant, move |tx| {
            async move { find(&mut tx.reading(), &slug).await }.boxed()
        });
        Ok(found.await?)
    }
}

async fn find(tx: &mut ReadTx<'_>, slug: &str) -> Result<Option<OnShelf>, DomainError> {
    let row = tx
        .records(Article::NAME)
        .find_unique("slug", &slug.into())
        .await?;
    let mut next = row.as_ref().map(Stored::<Article>::of).transpose()?;
    for moves in 0..MOST_MOVES {
        let Some(article) = next.take() else { break };
        let fields = article.fields();
        if fields.is_quotable() {
            return Ok(Some(if moves == 0 {
                OnShelf::Here(PublicArticle {
                    updated_at: article.updated_at,
                    version: article.version,
                    title: fields.title.clone(),
                    body_markdown: fields.body_markdown.clone(),
                })
            } else {
                OnShelf::Moved(fields.slug.clone())
            }));
        }
        let was_public = fields.status == ArticleStatus::Archived && fields.visibility == Visibility::Public;
        next = match &fields.redirect_to {
            Some(id) if was_public => record::find::<Article>(tx, id).await?,
            _ => None,
        };
    }
    Ok(None)
}
