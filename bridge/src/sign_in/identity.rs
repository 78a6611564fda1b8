//! Who we are to authorization servers, as far as the person has said (protocol.md C-01, C-07).

use super::saved::Client;
use crate::error::BridgeError;
use crate::key;
use crate::options::{CLIENT_SECRET_VARIABLE, KeySource, Secret, SignInSettings};

/// Who we are, as the person configured it.
pub(super) struct Identity {
    pub(super) id: Option<String>,
    pub(super) secret: Option<Secret>,
    /// The address of the document about us.
    pub(super) document: Option<String>,
}

impl Identity {
    /// Takes it out of the settings.
    ///
    /// # Errors
    /// −31006: the file with the secret cannot be used.
    pub(super) fn read(settings: &mut SignInSettings) -> Result<Identity, BridgeError> {
        Ok(Identity {
            id: settings.client_id.take(),
            secret: read_secret(std::mem::replace(&mut settings.client_secret, KeySource::None))?,
            document: settings.client_document.take(),
        })
    }

    /// A kept client with the secret that the person configured for it.
    pub(super) fn complete(&self, client: &Client) -> Client {
        let mut client = client.clone();
        if self.id.as_ref() == Some(&client.id) {
            client.secret = self.secret.clone();
        }
        client
    }
}

/// Reads the client's secret from where it is.
fn read_secret(source: KeySource) -> Result<Option<Secret>, BridgeError> {
    /// A secret is a line.
    const FILE_BYTES: u64 = 64 * 1024;
    let path = match source {
        KeySource::None => return Ok(None),
        KeySource::Value(secret) => return Ok(Some(secret)),
        KeySource::File(path) => path,
    };
    let unusable = |cause: String| {
        BridgeError::authentication(
            None,
            CLIENT_SECRET_VARIABLE,
            format!(
                "The file `{}` with the client's secret cannot be used: {cause}",
                path.display()
            ),
        )
    };
    let unreadable = |error: std::io::Error| unusable(error.to_string());
    let file = std::fs::File::open(&path).map_err(unreadable)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() || facts.len() > FILE_BYTES {
        return Err(unusable("it is no file with a secret in it".to_owned()));
    }
    if !key::is_private(&facts) {
        return Err(unusable(
            "others than its owner have access to it. Run `chmod 600` on it".to_owned(),
        ));
    }
    let text = std::io::read_to_string(file).map_err(unreadable)?;
    Ok(Some(Secret::from(text.trim().to_owned())))
}
