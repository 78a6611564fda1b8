//! Reading an answer from a system that may be broken or hostile: never more than a cap.

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The answer is larger than it may be.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The connection broke off or was too slow.
    #[error("the answer broke off")]
    Broken(#[from] reqwest::Error),
}

/// The whole body, refused as soon as it is known to be larger than `limit` bytes.
///
/// # Errors
/// When it is larger, or breaks off.
pub async fn read_capped(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let too_large = ReadError::TooLarge { limit };
    let announced = response.content_length().map(usize::try_from);
    if announced.is_some_and(|length| length.map_or(true, |length| length > limit)) {
        return Err(too_large);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
