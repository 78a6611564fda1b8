//! Companies, people and deals of the demo.

use super::{DAY_MS, Person, World, date, keep, made};
use crate::{
    domain::{
        DomainError,
        workspace::{
            demo::text::{ARTICLES, COMPANIES, POSITIONS},
            kinds::{
                account::{Account, LifecycleStage},
                article::{Article, ArticleStatus, Visibility},
                contact::Contact,
                lead::{Lead, LeadSource, LeadStatus},
                opportunity::{Opportunity, Stage},
            },
            record::{self, Document, Kind, Who},
        },
    },
    store::TenantTx,
};
impl World {
    pub(super) async fn article(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some((title, collection, public, body)) = ARTICLES.get(number).copied() else {
            return Ok(());
        };
        let who = self.member();
        let mut article = Article {
            title: title.to_owned(),
            slug: title.to_lowercase().replace(' ', "-"),
            body_markdown: body.to_owned(),
            collection: Some(collection.to_owned()),
            status: ArticleStatus::Published,
            visibility: if public {
                Visibility::Public
            } else {
                Visibility::Internal
            },
            author: who.clone(),
            ..Article::default()
        };
        article.settle(None, tx.now())?;
        record::insert(tx, Document::new(article), &Who::system(&who)).await?;
        self.articles += 1;
        Ok(())
    }

    pub(super) async fn account(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some((name, industry)) = COMPANIES.get(number).copied() else {
            return Ok(());
        };
        let health = self.dice.between(20, 98);
        let domain: String = name
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let owner = self.member();
        let mut account = Account {
            name: name.to_owned(),
            domain: Some(format!("{domain}.example")),
            website: Some(format!("https://{domain}.example")),
            industry: Some(industry.to_owned()),
            lifecycle_stage: match health {
                0..30 => LifecycleStage::Churned,
                30..45 => LifecycleStage::AtRisk,
                45..85 => LifecycleStage::Active,
                _ => LifecycleStage::Prospect,
            },
            health_score: Some(health),
            owner: owner.clone(),
            ..Account::default()
        };
        account.settle(None, tx.now())?;
        let made = record::insert(tx, Document::new(account), &Who::system(&owner)).await?;
        self.accounts.push(made.id);
        Ok(())
    }

    pub(super) async fn contact(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let name = self.name();
        let owner = self.member();
        // Every company has somebody; the larger ones have more.
        let account = match self.accounts.get(number) {
            Some(account) => account.clone(),
            None => self.dice.pick(&self.accounts).cloned().unwrap_or_default(),
        };
        let email = format!(
            "{}.{number}@customer.example",
            name.to_lowercase().replace(' ', ".")
        );
        let contact = Contact {
            name: name.clone(),
            account_id: account.clone(),
            email: Some(email.clone()),
            phone: Some(format!("+49 30 {:07}", self.dice.between(1_000_000, 9_999_999))),
            title: self.dice.pick(&POSITIONS).map(|title| (*title).to_owned()),
            owner: owner.clone(),
            last_seen_at: None,
        };
        let made = record::insert(tx, Document::new(contact), &Who::system(&owner)).await?;
        self.people.push(Person {
            id: made.id,
            name,
            email,
            account,
        });
        Ok(())
    }

    pub(super) async fn lead(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let name = self.name();
        let owner = self.member();
        let sources = [
            LeadSource::Web,
            LeadSource::Email,
            LeadSource::Manual,
            LeadSource::Import,
        ];
        let mut lead = Lead {
            email: Some(format!(
                "{}.{number}@lead.example",
                name.to_lowercase().replace(' ', ".")
            )),
            company: COMPANIES
                .get(number % COMPANIES.len())
                .map(|(company, _)| format!("{company} Partners")),
            title: self.dice.pick(&POSITIONS).map(|title| (*title).to_owned()),
            source: self.dice.pick(&sources).copied().unwrap_or_default(),
            owner: owner.clone(),
            value_cents: Some(self.dice.between(2, 90) * 10_000),
            name,
            ..Lead::default()
        };
        lead.settle(None, tx.now())?;
        let made = record::insert(tx, Document::new(lead), &Who::system(&owner)).await?;
        keep(&mut self.leads, number, made.id);
        Ok(())
    }

    pub(super) async fn move_lead(
        &mut self,
        tx: &mut TenantTx<'_>,
        number: usize,
        status: LeadStatus,
    ) -> Result<(), DomainError> {
        let Some(found) = made::<Lead>(tx, &self.leads, number).await? else {
            return Ok(());
        };
        let mut doc = found.doc.clone();
        doc.fields.status = status;
        doc.fields.settle(Some(found.fields()), tx.now())?;
        let who = Who::system(&found.fields().owner);
        record::update(tx, &found.id, &doc, None, &who).await.map(drop)
    }

    pub(super) async fn deal(&mut self, tx: &mut TenantTx<'_>, number: usize) -> Result<(), DomainError> {
        let Some(person) = self.somebody() else {
            return Ok(());
        };
        let owner = self.member();
        let kinds = ["Yearly plan", "More seats", "Pilot", "Renewal", "Second site"];
        let close = tx.now().plus_millis(self.dice.between(10, 80) * DAY_MS);
        let mut deal = Opportunity {
            name: format!(
                "{} for {}",
                self.dice.pick(&kinds).copied().unwrap_or_default(),
                person.name
            ),
            account_id: person.account,
            contact_ids: vec![person.id],
            amount_cents: self.dice.between(5, 400) * 10_000,
            close_date: Some(date(close)),
            owner: owner.clone(),
            ..Opportunity::default()
        };
        deal.settle(None, tx.now())?;
        let made = record::insert(tx, Document::new(deal), &Who::system(&owner)).await?;
        keep(&mut self.deals, number, made.id);
        Ok(())
    }

    pub(super) async fn move_deal(
        &mut self,
        tx: &mut TenantTx<'_>,
        number: usize,
        stage: Stage,
    ) -> Result<(), DomainError> {
        let Some(found) = made::<Opportunity>(tx, &self.deals, number).await? else {
            return Ok(());
        };
        let reasons = [
            "price",
            "chose another vendor",
            "no budget this year",
            "project stopped",
        ];
        let mut doc = found.doc.clone();
        doc.fields.stage = stage;
        if stage == Stage::Lost {
            doc.fields.lost_reason = self.dice.pick(&reasons).map(|reason| (*reason).to_owned());
        }
        doc.fields.settle(Some(found.fields()), tx.now())?;
        let who = Who::system(&found.fields().owner);
        record::update(tx, &found.id, &doc, None, &who).await.map(drop)
    }
}
