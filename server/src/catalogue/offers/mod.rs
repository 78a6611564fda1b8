//! Prompts and resources as data: `[[prompt]]` and `[[resource]]` rows come in, judged [`Offers`] go out.
//!
//! Each offer has a row of a [`Tool`] behind it, which names its scope and what runs: so whoever gets a prompt or reads
//! a resource is judged, counted, limited and logged by the rooms that do so for a tool. Those rows only read.

mod judge;
mod prompt;
mod resource;
mod row;
mod text;
mod uri;

use std::sync::Arc;

pub use prompt::{Input, Message, Part, Prompt, Role};
pub use resource::{Address, Body, FileBody, Resource, Stored};
pub use text::TextTemplate;
pub use uri::{UriTemplate, Variables, one_segment};

pub(super) use judge::{Beside, check_changes, offers, prompt, resource};
pub(super) use row::{PromptRow, ResourceRow};

use super::Tool;

/// Most prompts, and most resources, of one edition: each list is one page.
pub const MOST_OFFERS: usize = 200;

/// What an edition offers besides tools.
#[derive(Debug, Default)]
pub struct Offers {
    prompts: Vec<Arc<Prompt>>,
    resources: Vec<Arc<Resource>>,
}

impl Offers {
    /// The prompts in listing order.
    pub fn prompts(&self) -> &[Arc<Prompt>] {
        &self.prompts
    }

    /// Resources and templates of resources, in listing order.
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The prompt of that name.
    pub fn prompt(&self, name: &str) -> Option<&Arc<Prompt>> {
        self.prompts.iter().find(|prompt| prompt.name == name)
    }

    /// The resource at a URI, and what the URI says where a template has a hole. A resource of its own goes before a
    /// template that would match, and an earlier template before a later one.
    pub fn resource(&self, uri: &str) -> Option<(&Arc<Resource>, Variables)> {
        let fixed = self.resources.iter().find(|resource| match &resource.address {
            Address::Fixed(own) => own == uri,
            Address::Template(_) => false,
        });
        if let Some(resource) = fixed {
            return Some((resource, Vec::new()));
        }
        self.resources
            .iter()
            .find_map(|resource| match &resource.address {
                Address::Fixed(_) => None,
                Address::Template(template) => template.read(uri).map(|values| (resource, values)),
            })
    }

    /// The template that is spelled exactly so.
    pub fn template(&self, text: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|resource| match &resource.address {
            Address::Fixed(_) => false,
            Address::Template(template) => template.as_str() == text,
        })
    }

    /// The rows behind all offers.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<Tool>> {
        let prompts = self.prompts.iter().map(|prompt| &prompt.row);
        prompts.chain(self.resources.iter().map(|resource| &resource.row))
    }
}
