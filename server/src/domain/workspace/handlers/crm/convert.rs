//! `convert_lead`: a contact, its account and perhaps a deal, made of a lead.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, Reader, ToolResult,
        workspace::{
            change::{self, Names},
            custom, grammar,
            kinds::{
                account::Account,
                contact::Contact,
                lead::{Lead, LeadStatus},
                note::CrmNote,
                opportunity::{Opportunity, Stage},
            },
            record::{self, Document, Kind, Stored, Who, fold},
            refs,
            write::{self, object},
        },
    },
    store::{Condition, ReadTx, RecordQuery, TenantTx},
    vocabulary::Timestamp,
};

/// Notes that go over to a contact in one call.
const MOST_NOTES: u32 = 500;

#[derive(Debug, Deserialize)]
struct ConvertArguments {
    account_id: Option<String>,
    account_name: Option<String>,
    opportunity: Option<DealArguments>,
    create_opportunity: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DealArguments {
    name: Option<String>,
    amount_cents: Option<i64>,
    close_date: Option<String>,
    stage: Option<Stage>,
}

/// A lead on its way to be a customer. What is new gets its id when it is made.
#[derive(Debug, Serialize, Deserialize)]
struct Conversion {
    lead_id: String,
    /// The account that is there; `None`: the one below is made.
    account_id: Option<String>,
    account: Option<Account>,
    contact: Contact,
    /// Own fields of the lead that a contact has too.
    custom: Map<String, Value>,
    opportunity: Option<Opportunity>,
}

/// The account of a new contact: one that is there, or one that is made.
struct Home {
    id: Option<String>,
    new: Option<Account>,
    title: String,
}

/// Plans what becomes of a lead.
pub(super) async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let lead: Stored<Lead> = write::named(tx, &call).await?;
    let reader = write::reader::<Lead>(&call)?;
    let now = call.now;
    let arguments: ConvertArguments = call.arguments.parse()?;
    let fields = lead.fields().clone();
    let mut after = lead.doc.clone();
    after.fields.status = LeadStatus::Converted;
    after.fields.settle(Some(lead.fields()), now)?;

    let mut names = Names::default();
    let named = (arguments.account_id, arguments.account_name);
    let home = home(tx, named, &fields, &reader, &mut names, now).await?;
    let contact = Contact {
        name: fields.name.clone(),
        account_id: home.id.clone().unwrap_or_else(|| "the new account".to_owned()),
        email: fields.email.clone(),
        phone: fields.phone.clone(),
        title: fields.title.clone(),
        owner: fields.owner.clone(),
        last_seen_at: None,
    };
    let opportunity = if arguments.create_opportunity {
        let wanted = arguments.opportunity.unwrap_or_default();
        Some(deal(wanted, &fields, &contact.account_id, &home.title, now)?)
    } else {
        None
    };

    let summary = format!("Convert {} into a contact", reader.text(&fields.label()));
    let mut plan = Plan::new(summary);
    (plan, _) = change::changes(plan, Some(&lead), &after, &reader, &names)?;
    if let Some(account) = &home.new {
        plan = made(plan, &Document::new(account.clone()), &reader, &names)?;
    }
    let (custom, left) = custom::carried_over(tx, Contact::NAME, &lead.doc.custom).await?;
    let mut person = Document::new(contact.clone());
    person.tags.clone_from(&lead.doc.tags);
    person.custom.clone_from(&custom);
    plan = made(plan, &person, &reader, &names)?;
    if !left.is_empty() && reader.shows() {
        plan = plan.with_warning(format!(
            "contacts have no such fields, so they stay with the lead: {}",
            left.join(", ")
        ));
    }
    plan = warned(tx, plan, &home, &contact, &reader).await?;
    plan = with_notes(tx, plan, &lead.id).await?;
    if let Some(deal) = &opportunity {
        plan = made(plan, &Document::new(deal.clone()), &reader, &names)?;
    }
    plan.with_effect("event lead.converted, which flows may follow")
        .carrying(&Conversion {
            lead_id: lead.id,
            account_id: home.id,
            account: home.new,
            contact,
            custom,
            opportunity,
        })
}

/// The account by its id or as a new one of that name; neither: a new one called as the lead's company.
async fn home(
    tx: &mut ReadTx<'_>,
    named: (Option<String>, Option<String>),
    lead: &Lead,
    reader: &Reader,
    names: &mut Names,
    now: Timestamp,
) -> Result<Home, DomainError> {
    let name = match named {
        (Some(_), Some(_)) => {
            return Err(DomainError::argument(
                "account_id, account_name: give at most one of the two",
            ));
        }
        (Some(text), None) => {
            let found: Stored<Account> = refs::get(tx, &text, reader.shows()).await?;
            let title = found.fields().title();
            names.add(&found.id, reader.text(&title).to_owned());
            return Ok(Home {
                id: Some(found.id),
                new: None,
                title,
            });
        }
        (None, name) => name.or_else(|| lead.company.clone()),
    };
    let name = name.ok_or_else(|| {
        DomainError::Rule("the lead has no company; call again with account_id or account_name".to_owned())
    })?;
    let mut account = Account {
        name: name.clone(),
        owner: lead.owner.clone(),
        ..Account::default()
    };
    account.settle(None, now)?;
    Ok(Home {
        id: None,
        new: Some(account),
        title: name,
    })
}

/// The deal that a lead brings along, as far as nobody says otherwise.
fn deal(
    wanted: DealArguments,
    lead: &Lead,
    account_id: &str,
    account_title: &str,
    now: Timestamp,
) -> Result<Opportunity, DomainError> {
    let mut deal = Opportunity {
        name: wanted
            .name
            .unwrap_or_else(|| format!("{account_title}: {}", lead.name)),
        account_id: account_id.to_owned(),
        stage: wanted.stage.unwrap_or_default(),
        amount_cents: wanted.amount_cents.or(lead.value_cents).unwrap_or_default(),
        currency: lead.currency.clone(),
        close_date: wanted.close_date,
        owner: lead.owner.clone(),
        ..Opportunity::default()
    };
    deal.settle(None, now)?;
    Ok(deal)
}

/// Warns whoever may know it that the company or the person is there already.
async fn warned(
    tx: &mut ReadTx<'_>,
    mut plan: Plan,
    home: &Home,
    contact: &Contact,
    reader: &Reader,
) -> Result<Plan, DomainError> {
    if !reader.shows() {
        return Ok(plan);
    }
    if let Some(account) = &home.new {
        let same = [Condition::is("name", fold(&account.name))];
        if tx.records(Account::NAME).count(&same, 1).await? > 0 {
            plan = plan.with_warning(format!(
                "an account is called \"{}\" already; to take that one, call again with it as account_id",
                account.name
            ));
        }
    }
    if let Some(email) = &contact.email {
        let same = [Condition::is("email", fold(email))];
        if tx.records(Contact::NAME).count(&same, 1).await? > 0 {
            plan = plan.with_warning(format!("a contact has the email {email} already"));
        }
    }
    Ok(plan)
}

/// Says how many notes go over to the contact.
async fn with_notes(tx: &mut ReadTx<'_>, plan: Plan, lead: &str) -> Result<Plan, DomainError> {
    let many = tx
        .records(CrmNote::NAME)
        .count(&notes_of(lead), MOST_NOTES + 1)
        .await?;
    Ok(match many {
        0 => plan,
        many if many > i64::from(MOST_NOTES) => plan.with_effect(format!(
            "the contact gets the newest {MOST_NOTES} notes of the lead"
        )),
        many => plan.with_effect(format!(
            "the contact gets {} of the lead",
            grammar::counted(many, "note")
        )),
    })
}

/// A new record in a plan. What it takes over from the lead is shown to whoever may read that.
fn made<K: Kind>(plan: Plan, doc: &Document<K>, reader: &Reader, names: &Names) -> Result<Plan, DomainError> {
    if reader.shows() {
        return Ok(change::changes(plan, None, doc, reader, names)?.0);
    }
    Ok(plan.with(Change::create(
        K::NAME,
        "fields",
        reader.show(Value::Null).visible(),
    )))
}

/// Notes that belong to a record.
fn notes_of(id: &str) -> Vec<Condition> {
    vec![Condition::is("object_id", id)]
}

/// Gives the notes of a lead to the contact that it became: nobody looks for them at a lead that is read-only.
async fn hand_notes_over(
    tx: &mut TenantTx<'_>,
    lead: &str,
    contact: &str,
    who: &Who,
) -> Result<(), DomainError> {
    let query = RecordQuery {
        conditions: notes_of(lead),
        limit: MOST_NOTES,
        ..RecordQuery::default()
    };
    for record in tx.records(CrmNote::NAME).list(&query).await?.records {
        let Stored {
            id, mut doc, version, ..
        } = Stored::<CrmNote>::of(&record)?;
        Contact::NAME.clone_into(&mut doc.fields.object_type);
        contact.clone_into(&mut doc.fields.object_id);
        record::update(tx, &id, &doc, Some(version), who).await?;
    }
    Ok(())
}

/// Makes what was planned.
pub(super) async fn carry_out(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let Conversion {
        lead_id,
        account_id,
        account,
        mut contact,
        custom,
        opportunity,
    } = apply.plan.payload()?;
    let who = Who::of(apply.permit.principal());
    let lead: Stored<Lead> = record::get(&mut tx.reading(), &lead_id).await?;
    let account = match (account_id, account) {
        (Some(id), _) => record::get::<Account>(&mut tx.reading(), &id).await?,
        (None, account) => record::insert(tx, Document::new(account.unwrap_or_default()), &who).await?,
    };
    contact.account_id.clone_from(&account.id);
    let mut person = Document::new(contact);
    person.tags.clone_from(&lead.doc.tags);
    person.custom = custom;
    let contact = record::insert(tx, person, &who).await?;
    hand_notes_over(tx, &lead_id, &contact.id, &who).await?;
    let deal = match opportunity {
        None => None,
        Some(mut deal) => {
            deal.account_id.clone_from(&account.id);
            deal.contact_ids = vec![contact.id.clone()];
            Some(record::insert(tx, Document::new(deal), &who).await?)
        }
    };
    let mut doc = lead.doc.clone();
    doc.fields.status = LeadStatus::Converted;
    doc.fields.converted_to = Some(contact.id.clone());
    let version = apply.plan.version_of(Lead::NAME, &lead_id);
    let lead = record::update(tx, &lead_id, &doc, version, &who).await?;
    let lead = lead.ok_or_else(|| DomainError::not_found(Lead::NAME, lead_id))?;
    let mut result = object(Lead::NAME, lead.view()?);
    result.insert(Account::NAME.to_owned(), account.view()?);
    result.insert(Contact::NAME.to_owned(), contact.view()?);
    let mut ids = vec![lead.id, account.id, contact.id];
    if let Some(deal) = deal {
        result.insert(Opportunity::NAME.to_owned(), deal.view()?);
        ids.push(deal.id);
    }
    Ok(ToolResult::structured(&Value::Object(result))?.touching(ids))
}
